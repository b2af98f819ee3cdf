"""Checkout: sessions and PaymentIntents for what is offered, one open payable per reference."""

from payments.domains.checkout.api import router
from payments.domains.checkout.tables import CHECKOUT_SESSION, roots, settle

RESOURCES = (CHECKOUT_SESSION,)

__all__ = ["RESOURCES", "roots", "router", "settle"]
