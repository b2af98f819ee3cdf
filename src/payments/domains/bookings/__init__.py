"""Bookings: the first payable. The server prices them; their state follows the money by itself."""

from payments.domains.bookings.api import router
from payments.domains.bookings.payable import Bookings

PAYABLES = (Bookings(),)

__all__ = ["PAYABLES", "router"]
