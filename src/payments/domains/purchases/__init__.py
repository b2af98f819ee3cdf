"""Purchases: so many of a product of the catalogue, paid at once; credits follow where the product
brings some.
"""

from payments.domains.purchases.crediting import roots, settle
from payments.domains.purchases.payable import Purchases

PAYABLES = (Purchases(),)

__all__ = ["PAYABLES", "roots", "settle"]
