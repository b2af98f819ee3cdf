"""Timelines: all that happened to a payment, and why it is as it is; every other slice is read
here, none is changed.
"""

from payments.domains.timeline.api import router

__all__ = ["router"]
