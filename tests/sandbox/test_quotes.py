"""Quotes: what they come to, and what becomes of them."""

from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer
from sandbox.subscribing import price
from stripe_sandbox.testing import Bench


async def one_time(bench: Bench, amount: int, name: str = "Setup") -> str:
    made = await bench.stripe.v1.prices.create_async(
        {"currency": "usd", "unit_amount": amount, "product_data": {"name": name}}
    )
    return made.id


async def quote(bench: Bench, *prices: str, **params: Any) -> stripe.Quote:
    """A draft of one of each."""
    form: Any = {"line_items": [{"price": price, "quantity": 1} for price in prices], **params}
    return await bench.stripe.v1.quotes.create_async(form)


async def accept(bench: Bench, draft: stripe.Quote) -> stripe.Quote:
    quotes = bench.stripe.v1.quotes
    assert (await quotes.finalize_quote_async(draft.id)).status == "open"
    form: Any = {"expand": ["subscription", "invoice", "line_items"]}
    return await quotes.accept_async(draft.id, form)


async def test_an_accepted_quote_becomes_a_subscription(bench: Bench) -> None:
    ada, gold, setup = await customer(bench), await price(bench), await one_time(bench, 500)
    draft = await quote(bench, gold, setup, customer=ada.id, description="Gold and setup")
    assert (draft.status, draft.number, draft.amount_total) == ("draft", None, 2_500)
    assert draft.computed.upfront.amount_total == 2_500
    assert draft.computed.recurring
    assert (draft.computed.recurring.amount_total, draft.computed.recurring.interval) == (
        2_000,
        "month",
    )
    accepted = await accept(bench, draft)
    assert (accepted.status, accepted.expires_at) == ("accepted", accepted.created + 30 * DAY)
    assert isinstance(accepted.subscription, stripe.Subscription)
    assert accepted.subscription.status == "active"
    assert isinstance(accepted.invoice, stripe.Invoice)
    assert accepted.invoice.amount_paid == 2_500
    assert accepted.line_items
    assert [line.amount_total for line in accepted.line_items.data] == [2_000, 500]
    quoted = [event for event in await bench.events() if event.startswith("quote.")]
    assert quoted == ["quote.created", "quote.finalized", "quote.accepted"]


async def test_an_accepted_quote_of_one_time_prices_becomes_a_draft(bench: Bench) -> None:
    ada, setup = await customer(bench), await one_time(bench, 500)
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 20, "duration": "once"})
    draft = await quote(
        bench,
        setup,
        customer=ada.id,
        collection_method="send_invoice",
        invoice_settings={"days_until_due": 10},
        discounts=[{"coupon": coupon.id}],
    )
    assert (draft.amount_subtotal, draft.amount_total) == (500, 400)
    accepted = await accept(bench, draft)
    assert isinstance(accepted.invoice, stripe.Invoice)
    assert (accepted.invoice.status, accepted.invoice.amount_due) == ("draft", 400)
    assert accepted.invoice.billing_reason == "quote_accept"
    assert (accepted.subscription, accepted.invoice.due_date) == (
        None,
        accepted.invoice.created + 10 * DAY,
    )
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1


async def test_a_trial_puts_off_what_recurs(bench: Bench) -> None:
    ada = await customer(bench)
    draft = await quote(
        bench,
        await price(bench),
        customer=ada.id,
        subscription_data={"trial_period_days": 7, "metadata": {"deal": "9"}},
    )
    assert draft.computed.upfront.amount_total == 0
    accepted = await accept(bench, draft)
    assert isinstance(accepted.subscription, stripe.Subscription)
    assert accepted.subscription.status == "trialing"
    assert accepted.subscription.metadata.to_dict() == {"deal": "9"}


async def test_a_draft_is_changed_until_it_is_finalized(bench: Bench) -> None:
    ada, gold, quotes = await customer(bench), await price(bench), bench.stripe.v1.quotes
    draft = await quote(bench, gold, header="Hello")
    with pytest.raises(stripe.InvalidRequestError, match="needs a customer"):
        await quotes.finalize_quote_async(draft.id)
    (line,) = (await quotes.line_items.list_async(draft.id)).data
    described: Any = {
        "price_data": {
            "currency": "usd",
            "unit_amount": 100,
            "product": (await bench.stripe.v1.products.create_async({"name": "Tip"})).id,
            "recurring": {"interval": "month"},
        }
    }
    changed = await quotes.update_async(
        draft.id,
        {
            "customer": ada.id,
            "header": "",
            "line_items": [{"id": line.id, "quantity": 3}, described],
        },
    )
    assert (changed.header, changed.amount_subtotal, changed.amount_total) == (None, 6_100, 6_100)
    upfront = await quotes.computed_upfront_line_items.list_async(draft.id)
    assert [(line.quantity, line.amount_total) for line in upfront.data] == [(3, 6_000), (1, 100)]
    accepted = await accept(bench, draft)
    assert isinstance(accepted.invoice, stripe.Invoice)
    assert accepted.invoice.amount_paid == 6_100
    with pytest.raises(stripe.InvalidRequestError, match="cannot be updated"):
        await quotes.update_async(draft.id, {"header": "Bye"})
    with pytest.raises(stripe.InvalidRequestError, match="only a quote with a status of `open`"):
        await quotes.accept_async(draft.id)


async def test_a_quote_is_canceled_or_expires(bench: Bench) -> None:
    time_ = await clock(bench)
    ada, gold, quotes = (
        await customer(bench, test_clock=time_.id),
        await price(bench),
        bench.stripe.v1.quotes,
    )
    draft = await quote(bench, gold, customer=ada.id)
    assert (await quotes.cancel_async(draft.id)).status == "canceled"
    offered = await quote(bench, gold, customer=ada.id)
    await quotes.finalize_quote_async(offered.id, {"expires_at": time_.frozen_time + 2 * DAY})
    await advance(bench, time_, to=time_.frozen_time + 3 * DAY)
    assert (await quotes.retrieve_async(offered.id)).status == "canceled"
    page = await quotes.list_async({"customer": ada.id, "status": "canceled"})
    assert {found.id for found in page.data} == {draft.id, offered.id}
    assert (await bench.events())[-2:] == ["quote.canceled", "test_helpers.test_clock.ready"]


async def test_a_finalized_quote_has_a_pdf(bench: Bench) -> None:
    ada = await customer(bench)
    draft = await quote(bench, await price(bench), customer=ada.id, header="For you")
    assert (await bench.http.get(f"/v1/quotes/{draft.id}/pdf")).status_code == 400
    final = await bench.stripe.v1.quotes.finalize_quote_async(draft.id)
    file = await bench.http.get(f"/v1/quotes/{draft.id}/pdf")
    assert (file.headers["content-type"], file.content[:5]) == ("application/pdf", b"%PDF-")
    for text in (str(final.number), "For you", "1 x Gold: $20.00"):
        assert text.encode() in file.content
