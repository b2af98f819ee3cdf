"""Prices and subscriptions to begin a test with."""

from typing import Any

import stripe

from stripe_sandbox.testing import Bench


async def price(
    bench: Bench, amount: int = 2_000, name: str = "Gold", interval: str = "month", **more: Any
) -> str:
    """The id of a recurring price."""
    form: Any = {
        "currency": "usd",
        "unit_amount": amount,
        "product_data": {"name": name},
        "recurring": {"interval": interval, **more},
    }
    made = await bench.stripe.v1.prices.create_async(form)
    return made.id


async def subscribe(
    bench: Bench, customer: stripe.Customer, *prices: str, **params: Any
) -> stripe.Subscription:
    """A subscription with its latest invoice expanded."""
    form: Any = {
        "customer": customer.id,
        "items": [{"price": price} for price in prices],
        "expand": ["latest_invoice", "pending_setup_intent"],
        **params,
    }
    return await bench.stripe.v1.subscriptions.create_async(form)


async def now(bench: Bench, subscription: stripe.Subscription) -> stripe.Subscription:
    """The subscription as it is now, with its latest invoice expanded."""
    return await bench.stripe.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )


async def change(
    bench: Bench, subscription: stripe.Subscription, **params: Any
) -> stripe.Subscription:
    form: Any = {"expand": ["latest_invoice"], **params}
    return await bench.stripe.v1.subscriptions.update_async(subscription.id, form)


async def invoices(bench: Bench, subscription: stripe.Subscription) -> list[stripe.Invoice]:
    """All of them, the first first."""
    page = await bench.stripe.v1.invoices.list_async(
        {"subscription": subscription.id, "limit": 100}
    )
    return list(reversed(page.data))


def latest(subscription: stripe.Subscription) -> stripe.Invoice:
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    return subscription.latest_invoice


def period(subscription: stripe.Subscription) -> tuple[int, int]:
    (item,) = subscription.items.data
    return item.current_period_start, item.current_period_end
