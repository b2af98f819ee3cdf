"""Customers: which Stripe customer a user of yours is."""

from payments.domains.customers.api import router
from payments.domains.customers.ensuring import ensure, with_customer
from payments.domains.customers.tables import (
    CUSTOMER,
    Customer,
    CustomerLink,
    of_address,
    user_of,
    users_customers,
)

RESOURCES = (CUSTOMER,)

__all__ = [
    "RESOURCES",
    "Customer",
    "CustomerLink",
    "ensure",
    "of_address",
    "router",
    "user_of",
    "users_customers",
    "with_customer",
]
