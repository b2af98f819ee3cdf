"""What a restricted key must be allowed to do, found out without doing any of it.

Stripe looks at a key's permissions before it looks for the object. So a write is tried on an object
that cannot exist: 404 says that the key may, 403 that it may not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from payments.core.errors import StripeRejected
from payments.stripe_api.failures import KeyLacksPermission, StripeObjectMissing
from payments.stripe_api.service import Client, StripeService

Try = Callable[[Client], Awaitable[Any]]

TRIES: Final[Mapping[str, Try]] = {
    "Customers: read": lambda c: c.v1.customers.list_async({"limit": 1}),
    "Customers: write": lambda c: c.v1.customers.update_async("cus_none", {}),
    "Products: read": lambda c: c.v1.products.list_async({"limit": 1}),
    "Prices: read": lambda c: c.v1.prices.list_async({"limit": 1}),
    "PaymentIntents: read": lambda c: c.v1.payment_intents.list_async({"limit": 1}),
    "PaymentIntents: write": lambda c: c.v1.payment_intents.cancel_async("pi_none"),
    "Checkout Sessions: read": lambda c: c.v1.checkout.sessions.list_async({"limit": 1}),
    "Checkout Sessions: write": lambda c: c.v1.checkout.sessions.expire_async("cs_none"),
    "Refunds: read": lambda c: c.v1.refunds.list_async({"limit": 1}),
    "Refunds: write": lambda c: c.v1.refunds.update_async("re_none", {}),
    "Subscriptions: read": lambda c: c.v1.subscriptions.list_async({"limit": 1}),
    "Subscriptions: write": lambda c: c.v1.subscriptions.update_async("sub_none", {}),
    "Invoices: read": lambda c: c.v1.invoices.list_async({"limit": 1}),
    "Invoices: write": lambda c: c.v1.invoices.pay_async("in_none"),
    "Promotion codes: read": lambda c: c.v1.promotion_codes.list_async({"limit": 1}),
    "Disputes: read": lambda c: c.v1.disputes.list_async({"limit": 1}),
    "Events: read": lambda c: c.v1.events.list_async({"limit": 1}),
    "Balance transactions: read": lambda c: c.v1.balance_transactions.list_async({"limit": 1}),
    "Customer portal: read": lambda c: c.v1.billing_portal.configurations.list_async({"limit": 1}),
    "Customer portal: write": lambda c: c.v1.billing_portal.sessions.create_async(
        {"customer": "cus_none"}
    ),
}
"""By Stripe's name of the permission. What only `payments setup` needs is not asked for."""


async def lacking(stripe: StripeService) -> list[str]:
    allowed = await asyncio.gather(*(_may(stripe, attempt) for attempt in TRIES.values()))
    return [name for name, may in zip(TRIES, allowed, strict=True) if not may]


async def _may(stripe: StripeService, attempt: Try) -> bool:
    try:
        with suppress(StripeObjectMissing, StripeRejected):
            await stripe.call(attempt)
    except KeyLacksPermission:
        return False
    return True
