"""Refunds: reserved by an admin, made by Stripe, mirrored wherever they were made."""

from payments.domains.refunds.api import router
from payments.domains.refunds.making import TASKS
from payments.domains.refunds.tables import REFUND, roots, settle

RESOURCES = (REFUND,)

__all__ = ["RESOURCES", "TASKS", "roots", "router", "settle"]
