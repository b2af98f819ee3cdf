"""The catalogue: products and prices as Stripe has them, and how our file gets there."""

from payments.domains.catalog.api import router
from payments.domains.catalog.malformed import roots, settle
from payments.domains.catalog.tables import PRICE, PRODUCT

RESOURCES = (PRODUCT, PRICE)

__all__ = ["RESOURCES", "roots", "router", "settle"]
