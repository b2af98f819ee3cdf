"""What a payments service would be misled by if the sandbox told it otherwise than Stripe does."""

from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer, invoice, new_events
from sandbox.subscribing import change, latest, now, period, price, subscribe
from stripe_sandbox.testing import Bench


async def _with_failing_card(bench: Bench, of: stripe.Customer) -> None:
    method = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": of.id}
    )
    await bench.stripe.v1.customers.update_async(
        of.id, {"invoice_settings": {"default_payment_method": method.id}}
    )


async def _delinquent(bench: Bench, of: stripe.Customer) -> bool | None:
    return (await bench.stripe.v1.customers.retrieve_async(of.id)).delinquent


async def _in_euros(bench: Bench) -> str:
    made = await bench.stripe.v1.prices.create_async(
        {
            "currency": "eur",
            "unit_amount": 900,
            "product_data": {"name": "Gold"},
            "recurring": {"interval": "month"},
        }
    )
    return made.id


async def _at_checkout(bench: Bench, method: str) -> stripe.checkout.Session:
    """A session in subscription mode after its page was sent off."""
    session = await bench.stripe.v1.checkout.sessions.create_async(
        {
            "mode": "subscription",
            "customer_email": "jenny@example.com",
            "line_items": [{"price": await price(bench), "quantity": 1}],
            "success_url": "https://shop.test/thanks",
        }
    )
    form = {"payment_method": method, "expected_amount": 2_000}
    await bench.http.post(f"/v1/payment_pages/{session.id}/confirm", data=form)
    return await bench.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription"]}
    )


async def test_paid_outside_of_stripe_means_that_no_payment_succeeded(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench), 1_000)
    open_ = await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)
    before = len(await bench.events())
    await bench.stripe.v1.invoices.pay_async(open_.id, {"paid_out_of_band": True})
    told = await new_events(bench, before)
    assert "invoice.paid" in told
    assert "invoice.payment_succeeded" not in told


async def test_a_subscription_begins_while_a_debit_of_its_checkout_is_on_its_way(
    bench: Bench,
) -> None:
    session = await _at_checkout(bench, "pm_usBankAccount")
    assert session.payment_status == "unpaid"
    assert isinstance(session.subscription, stripe.Subscription)
    assert session.subscription.status == "active"


async def test_a_subscription_is_behind_when_the_debit_of_its_checkout_has_failed(
    bench: Bench,
) -> None:
    session = await _at_checkout(bench, "pm_usBankAccount_insufficientFunds")
    await bench.settle()
    assert isinstance(session.subscription, stripe.Subscription)
    assert (await now(bench, session.subscription)).status == "past_due"


async def test_a_customer_is_billed_in_one_currency(bench: Bench) -> None:
    buyer = await customer(bench)
    await subscribe(bench, buyer, await price(bench))
    with pytest.raises(stripe.InvalidRequestError, match="combine currencies on a single customer"):
        await subscribe(bench, buyer, await _in_euros(bench))


async def test_pages_for_subscriptions_are_in_the_currency_of_what_is_billed(bench: Bench) -> None:
    buyer, dollars = await customer(bench), await price(bench)
    euros = await _in_euros(bench)

    async def page(price: str, buyer: stripe.Customer = buyer) -> stripe.checkout.Session:
        return await bench.stripe.v1.checkout.sessions.create_async(
            {
                "customer": buyer.id,
                "mode": "subscription",
                "line_items": [{"price": price, "quantity": 1}],
                "success_url": "https://shop.test/thanks",
            }
        )

    opened = await page(dollars)
    with pytest.raises(stripe.InvalidRequestError, match="checkout session with currency usd"):
        await page(euros)
    await bench.stripe.v1.checkout.sessions.expire_async(opened.id)
    assert (await page(euros)).currency == "eur"
    rival = await customer(bench)
    await subscribe(bench, rival, dollars)
    with pytest.raises(stripe.InvalidRequestError, match="active subscription"):
        await page(euros, rival)
    assert (await page(dollars, rival)).currency == "usd"


async def test_a_customer_is_delinquent_from_a_failed_automatic_payment_until_one_is_made(
    bench: Bench,
) -> None:
    time = await clock(bench)
    buyer = await customer(bench, test_clock=time.id)
    subscription = await subscribe(bench, buyer, await price(bench))
    assert await _delinquent(bench, buyer) is False
    await _with_failing_card(bench, buyer)
    await advance(bench, time, to=period(subscription)[1] + 2 * 3_600)
    assert await _delinquent(bench, buyer) is True
    owed = latest(await now(bench, subscription))
    await bench.stripe.v1.invoices.pay_async(owed.id, {"payment_method": "pm_card_visa"})
    assert await _delinquent(bench, buyer) is False


async def test_a_customer_is_delinquent_when_an_invoice_is_overdue(bench: Bench) -> None:
    time = await clock(bench)
    buyer = await customer(bench, test_clock=time.id)
    due = {"collection_method": "send_invoice", "days_until_due": 3}
    draft = await invoice(bench, buyer, 1_000, **due)
    await bench.stripe.v1.invoices.send_invoice_async(draft.id)
    await advance(bench, time, to=time.frozen_time + 4 * DAY)
    assert await _delinquent(bench, buyer) is True


async def test_lines_of_a_subscription_carry_its_metadata(bench: Bench) -> None:
    subscription = await subscribe(
        bench, await customer(bench), await price(bench), metadata={"account": "42"}
    )
    (line,) = latest(subscription).lines.data
    assert line.metadata.to_dict() == {"account": "42"}


async def test_prorations_name_the_subscription_item_and_the_invoice_item(bench: Bench) -> None:
    time = await clock(bench)
    buyer = await customer(bench, test_clock=time.id)
    subscription = await subscribe(bench, buyer, await price(bench))
    (item,) = subscription.items.data
    await advance(bench, time, to=time.frozen_time + 10 * DAY)
    more: Any = [{"id": item.id, "quantity": 2}]
    changed = await change(bench, subscription, items=more, proration_behavior="always_invoice")
    for line in latest(changed).lines.data:
        assert line.parent is not None
        assert line.parent.type == "subscription_item_details"
        details = line.parent.subscription_item_details
        assert details is not None
        assert details.proration is True
        assert details.subscription_item == item.id
        assert details.invoice_item is not None


async def test_credit_that_a_canceled_subscription_leaves_joins_another_invoice(
    bench: Bench,
) -> None:
    time = await clock(bench)
    buyer = await customer(bench, test_clock=time.id)
    subscription = await subscribe(bench, buyer, await price(bench))
    start, end = period(subscription)
    await advance(bench, time, to=(start + end) // 2)
    await bench.stripe.v1.subscriptions.cancel_async(subscription.id, {"prorate": True})
    final = await bench.stripe.v1.invoices.create_async(
        {"customer": buyer.id, "pending_invoice_items_behavior": "include"}
    )
    assert [line.amount for line in final.lines.data] == [-1_000]


async def test_a_new_subscription_is_told_of_with_the_setup_intent_that_waits(
    bench: Bench,
) -> None:
    subscription = await subscribe(
        bench,
        await customer(bench, None),
        await price(bench),
        trial_period_days=7,
        payment_behavior="default_incomplete",
    )
    assert isinstance(subscription.pending_setup_intent, stripe.SetupIntent)
    page = await bench.stripe.v1.events.list_async({"type": "customer.subscription.created"})
    (told,) = page.data
    assert told.data.object["pending_setup_intent"] == subscription.pending_setup_intent.id


async def test_a_preview_says_from_when_its_prorations_count(bench: Bench) -> None:
    buyer = await customer(bench)
    subscription = await subscribe(bench, buyer, await price(bench))
    (item,) = subscription.items.data
    details: Any = {
        "items": [{"id": item.id, "quantity": 2}],
        "proration_date": item.current_period_start,
    }
    preview = await bench.stripe.v1.invoices.create_preview_async(
        {"customer": buyer.id, "subscription": subscription.id, "subscription_details": details}
    )
    assert preview.parent is not None
    assert preview.parent.subscription_details is not None
    said = preview.parent.subscription_details.subscription_proration_date
    assert said == item.current_period_start


async def test_payments_of_subscriptions_are_described_by_what_they_pay(bench: Bench) -> None:
    time = await clock(bench)
    buyer = await customer(bench, test_clock=time.id)
    subscription = await subscribe(bench, buyer, await price(bench))
    await advance(bench, time, to=period(subscription)[1] + 2 * 3_600)
    charges = await bench.stripe.v1.charges.list_async({"customer": buyer.id})
    described = [charge.description for charge in reversed(charges.data)]
    assert described == ["Subscription creation", "Subscription update"]


async def test_a_draft_follows_its_customer_until_it_is_final(bench: Bench) -> None:
    buyer = await customer(bench, email="old@example.com")
    draft = await invoice(bench, buyer, 1_000)
    await bench.stripe.v1.customers.update_async(buyer.id, {"email": "new@example.com"})
    await bench.stripe.v1.customers.balance_transactions.create_async(
        buyer.id, {"amount": -300, "currency": "usd"}
    )
    shown = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (shown.customer_email, shown.starting_balance) == ("new@example.com", -300)
    final = await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)
    assert (final.customer_email, final.amount_due) == ("new@example.com", 700)


async def test_the_day_of_a_proration_has_two_digits(bench: Bench) -> None:
    first_of_june = 1_811_808_000
    time = await clock(bench, first_of_june)
    buyer = await customer(bench, test_clock=time.id)
    subscription = await subscribe(bench, buyer, await price(bench))
    await advance(bench, time, to=first_of_june + DAY)
    (item,) = subscription.items.data
    more: Any = [{"id": item.id, "quantity": 2}]
    await change(bench, subscription, items=more)
    pending = await bench.stripe.v1.invoice_items.list_async({"pending": True})
    assert "Unused time on Gold after 02 Jun 2027" in [item.description for item in pending.data]


@pytest.mark.parametrize(
    ("resource", "query"),
    [
        ("subscriptions", "canceled_at>0"),
        ("invoices", "subscription:'sub_1'"),
        ("invoices", "receipt_number:'1'"),
        ("invoices", "last_finalization_error_code:'x'"),
        ("invoices", "last_finalization_error_type:'x'"),
        ("charges", "payment_method_details.card.fingerprint:'x'"),
    ],
)
async def test_what_stripe_searches_by_is_searched_by(
    bench: Bench, resource: str, query: str
) -> None:
    answer = await bench.http.get(f"/v1/{resource}/search", params={"query": query})
    assert answer.status_code == 200, answer.text
