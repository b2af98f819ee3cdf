"""Customers and invoices to begin a test with."""

from typing import Any

import stripe

from stripe_sandbox.testing import Bench

DAY = 86_400


async def customer(bench: Bench, card: str | None = "visa", **given: Any) -> stripe.Customer:
    """A customer whose invoices are paid with a test card."""
    params: Any = given
    created = await bench.stripe.v1.customers.create_async(params)
    if card:
        method = await bench.stripe.v1.payment_methods.attach_async(
            f"pm_card_{card}", {"customer": created.id}
        )
        settings: Any = {"default_payment_method": method.id}
        await bench.stripe.v1.customers.update_async(created.id, {"invoice_settings": settings})
    return created


async def invoice(bench: Bench, of: stripe.Customer, *amounts: int, **given: Any) -> stripe.Invoice:
    """A draft with one line for each amount in dollars' cents."""
    params: Any = {"customer": of.id, **given}
    draft = await bench.stripe.v1.invoices.create_async(params)
    for amount in amounts:
        await bench.stripe.v1.invoice_items.create_async(
            {"customer": of.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
        )
    return await bench.stripe.v1.invoices.retrieve_async(draft.id)


async def clock(bench: Bench, now: int = 1_800_000_000) -> stripe.test_helpers.TestClock:
    return await bench.stripe.v1.test_helpers.test_clocks.create_async({"frozen_time": now})


async def advance(bench: Bench, of: stripe.test_helpers.TestClock, *, to: int) -> None:
    await bench.stripe.v1.test_helpers.test_clocks.advance_async(of.id, {"frozen_time": to})
    await bench.settle()


async def new_events(bench: Bench, since: int) -> list[str]:
    """What has happened after the first so many events."""
    return (await bench.events())[since:]
