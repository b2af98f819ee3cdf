"""Subscriptions: how they begin, what their first invoice decides, how they end."""

from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer, new_events
from sandbox.subscribing import change, invoices, latest, now, period, price, subscribe
from stripe_sandbox.testing import Bench

BEGINS = [
    "customer.subscription.created",
    "invoice.created",
    "payment_intent.created",
    "invoice.updated",
    "invoice.finalized",
]
IS_PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice_payment.paid",
    "invoice.updated",
    "invoice.paid",
    "customer.subscription.updated",
    "invoice.payment_succeeded",
]


async def last_event(bench: Bench, type: str) -> Any:
    page = await bench.stripe.v1.events.list_async({"type": type, "limit": 1})
    return page.data[0].data.to_dict()


async def test_a_paid_subscription_is_active(bench: Bench) -> None:
    ada, gold = await customer(bench), await price(bench)
    before = len(await bench.events())
    sub = await subscribe(bench, ada, gold, metadata={"seat": "7"})
    assert (sub.status, latest(sub).status, latest(sub).amount_paid) == ("active", "paid", 2_000)
    assert latest(sub).billing_reason == "subscription_create"
    parent = latest(sub).parent
    assert parent
    assert parent.subscription_details
    assert parent.subscription_details.subscription == sub.id
    (line,) = latest(sub).lines.data
    assert (line.description, line.period.end) == (
        "1 \N{MULTIPLICATION SIGN} Gold (at $20.00 / month)",
        period(sub)[1],
    )
    happened = [e for e in await new_events(bench, before) if e != "customer.updated"]
    assert happened == [*BEGINS, *IS_PAID]
    created = (await last_event(bench, "customer.subscription.created"))["object"]
    assert (created["status"], created["latest_invoice"]) == ("incomplete", latest(sub).id)
    updated = await last_event(bench, "customer.subscription.updated")
    assert updated["previous_attributes"] == {"status": "incomplete"}


async def test_a_declined_first_payment_leaves_it_incomplete_for_23_hours(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, "chargeCustomerFail", test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench))
    assert (sub.status, latest(sub).status) == ("incomplete", "open")
    assert (await bench.events())[-1] == "invoice.payment_failed"
    assert latest(sub).next_payment_attempt is None
    await advance(bench, time_, to=time_.frozen_time + 22 * 3600)
    assert (await now(bench, sub)).status == "incomplete"
    await advance(bench, time_, to=time_.frozen_time + 24 * 3600)
    sub = await now(bench, sub)
    assert (sub.status, latest(sub).status) == ("incomplete_expired", "void")
    listed = await bench.stripe.v1.subscriptions.list_async({"status": "ended"})
    assert [found.id for found in listed.data] == [sub.id]


async def test_the_client_pays_an_incomplete_subscription(bench: Bench) -> None:
    ada = await customer(bench, None)
    sub = await subscribe(
        bench,
        ada,
        await price(bench),
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
        expand=["latest_invoice.confirmation_secret"],
    )
    assert (sub.status, latest(sub).status) == ("incomplete", "open")
    secret = latest(sub).confirmation_secret
    assert secret
    intent = secret.client_secret.split("_secret_")[0]
    await bench.stripe.v1.payment_intents.confirm_async(intent, {"payment_method": "pm_card_visa"})
    sub = await now(bench, sub)
    assert (sub.status, latest(sub).status) == ("active", "paid")
    methods = await bench.stripe.v1.customers.payment_methods.list_async(ada.id)
    assert sub.default_payment_method == methods.data[0].id


async def test_an_error_if_incomplete_leaves_nothing_behind(bench: Bench) -> None:
    ada, gold = await customer(bench, "chargeCustomerFail"), await price(bench)
    before = len(await bench.events())
    with pytest.raises(stripe.CardError, match="declined"):
        await subscribe(bench, ada, gold, payment_behavior="error_if_incomplete")
    assert await new_events(bench, before) == []
    assert (await bench.stripe.v1.subscriptions.list_async({"status": "all"})).data == []


@pytest.mark.parametrize(
    ("account", "status"),
    [("success", "active"), ("insufficientFunds", "past_due")],
)
async def test_it_is_active_while_a_debit_is_on_its_way(
    bench: Bench, account: str, status: str
) -> None:
    ada = await customer(bench, None)
    method = await bench.stripe.v1.payment_methods.attach_async(
        f"pm_usBankAccount_{account}", {"customer": ada.id}
    )
    sub = await subscribe(bench, ada, await price(bench), default_payment_method=method.id)
    assert (sub.status, latest(sub).status) == ("active", "open")
    await bench.settle()
    assert (await now(bench, sub)).status == status


async def test_authentication_leaves_it_incomplete(bench: Bench) -> None:
    ada, gold = await customer(bench, "authenticationRequired"), await price(bench)
    sub = await subscribe(bench, ada, gold)
    assert (sub.status, latest(sub).status) == ("incomplete", "open")
    assert (await bench.events())[-1] == "invoice.payment_action_required"
    with pytest.raises(stripe.CardError) as refused:
        await subscribe(bench, ada, gold, payment_behavior="error_if_incomplete")
    assert refused.value.code == "subscription_payment_intent_requires_action"


async def test_without_a_payment_method_it_is_refused(bench: Bench) -> None:
    ada, gold = await customer(bench, None), await price(bench)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await subscribe(bench, ada, gold)


async def test_a_trial_asks_for_a_method_to_be_set_up(bench: Bench) -> None:
    ada = await customer(bench, None)
    sub = await subscribe(
        bench,
        ada,
        await price(bench),
        trial_period_days=1,
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
    )
    assert "customer.subscription.trial_will_end" in await bench.events()
    intent = sub.pending_setup_intent
    assert isinstance(intent, stripe.SetupIntent)
    await bench.stripe.v1.setup_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    sub = await now(bench, sub)
    assert (sub.status, sub.pending_setup_intent) == ("trialing", None)
    assert sub.default_payment_method


@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("pause", "paused", "customer.subscription.paused"),
        ("create_invoice", "active", "customer.subscription.updated"),
    ],
)
async def test_a_trial_ends_without_a_payment_method(
    bench: Bench, behavior: str, status: str, event: str
) -> None:
    time_ = await clock(bench)
    sub = await subscribe(
        bench,
        await customer(bench, None, test_clock=time_.id),
        await price(bench),
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )
    await advance(bench, time_, to=time_.frozen_time + 7 * DAY)
    assert (await now(bench, sub)).status == status
    assert (await bench.events())[-2] == event


async def test_the_cli_pauses_a_trial_by_ending_it(bench: Bench) -> None:
    sub = await subscribe(
        bench,
        await customer(bench, None),
        await price(bench),
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    sub = await change(bench, sub, trial_end="now")
    assert sub.status == "paused"
    assert sub.status_details
    assert sub.status_details.paused.subscription.type == "trial_end_without_payment_method"
    assert (await bench.events())[-3:] == [
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
        "customer.subscription.paused",
    ]


async def test_what_is_sent_is_active_until_it_is_overdue(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, None, test_clock=time_.id)
    sub = await subscribe(
        bench, ada, await price(bench), collection_method="send_invoice", days_until_due=7
    )
    assert (sub.status, latest(sub).status) == ("active", "draft")
    await advance(bench, time_, to=time_.frozen_time + 2 * 3600)
    assert latest(await now(bench, sub)).status == "open"
    await advance(bench, time_, to=time_.frozen_time + 8 * DAY)
    assert (await now(bench, sub)).status == "past_due"
    await bench.stripe.v1.invoices.pay_async(latest(sub).id, {"paid_out_of_band": True})
    assert (await now(bench, sub)).status == "active"


async def test_the_last_failed_retry_cancels(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench, interval="week"))
    broken = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": ada.id}
    )
    await change(bench, sub, default_payment_method=broken.id)
    await advance(bench, time_, to=period(sub)[1] + 6 * DAY)
    assert (await now(bench, sub)).status == "past_due"
    await advance(bench, time_, to=period(sub)[1] + 6 * DAY + 20 * 3600)
    assert (await now(bench, sub)).status == "past_due"
    await advance(bench, time_, to=period(sub)[1] + 9 * DAY)
    sub = await now(bench, sub)
    assert sub.status == "canceled"
    assert sub.cancellation_details
    assert sub.cancellation_details.reason == "payment_failed"


async def test_a_void_invoice_clears_what_was_owed(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench))
    broken = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": ada.id}
    )
    await change(bench, sub, default_payment_method=broken.id)
    await advance(bench, time_, to=period(sub)[1] + 2 * 3600)
    sub = await now(bench, sub)
    assert sub.status == "past_due"
    await bench.stripe.v1.invoices.void_invoice_async(latest(sub).id)
    assert (await now(bench, sub)).status == "active"


async def test_a_renewal_is_announced_a_week_before(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench))
    await advance(bench, time_, to=period(sub)[1] - 6 * DAY)
    upcoming = (await last_event(bench, "invoice.upcoming"))["object"]
    assert (upcoming["amount_due"], upcoming["billing_reason"]) == (2_000, "upcoming")
    assert upcoming["id"].startswith("upcoming_in_")
    assert len(await invoices(bench, sub)) == 1


async def test_a_billing_cycle_anchor_prorates_the_first_period(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    anchor = time_.frozen_time + 31 * DAY // 2
    sub = await subscribe(bench, ada, await price(bench), billing_cycle_anchor=anchor)
    assert (period(sub), latest(sub).amount_paid) == ((time_.frozen_time, anchor), 1_000)
    free = await subscribe(
        bench, ada, await price(bench), billing_cycle_anchor=anchor, proration_behavior="none"
    )
    assert (free.status, free.latest_invoice) == ("active", None)
    await advance(bench, time_, to=anchor + 2 * 3600)
    assert latest(await now(bench, free)).amount_paid == 2_000


async def test_one_time_prices_join_the_first_invoice(bench: Bench) -> None:
    setup = await bench.stripe.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Setup"}}
    )
    extras = [{"price": setup.id, "quantity": 2}]
    sub = await subscribe(
        bench, await customer(bench), await price(bench), add_invoice_items=extras
    )
    assert [line.amount for line in latest(sub).lines.data] == [1_000, 2_000]
    assert latest(sub).amount_paid == 3_000


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"items": []}, "Missing required param: items"),
        ({"cancel_at": 1}, "in the future"),
        ({"trial_end": 1}, "in the future"),
        ({"trial_period_days": 800}, "between 1 and 730"),
        ({"days_until_due": 7}, "send_invoice"),
        ({"billing_cycle_anchor": 4_000_000_000}, "next natural billing date"),
        ({"default_payment_method": "pm_none"}, "No such PaymentMethod"),
    ],
)
async def test_wrong_terms_are_refused(bench: Bench, params: Any, message: str) -> None:
    ada, gold = await customer(bench), await price(bench)
    with pytest.raises(stripe.InvalidRequestError, match=message):
        await subscribe(bench, ada, gold, **params)


async def test_prices_must_recur_in_one_currency(bench: Bench) -> None:
    ada, gold = await customer(bench), await price(bench)
    once = await bench.stripe.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Setup"}}
    )
    with pytest.raises(stripe.InvalidRequestError, match="type=one_time"):
        await subscribe(bench, ada, once.id)
    with pytest.raises(stripe.InvalidRequestError, match="supports currencies of `usd`"):
        await subscribe(bench, ada, gold, currency="eur")


async def test_cancelling_credits_and_bills_what_is_left(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench))
    await advance(bench, time_, to=time_.frozen_time + 31 * DAY // 2)
    ended = await bench.stripe.v1.subscriptions.cancel_async(
        sub.id,
        {
            "invoice_now": True,
            "prorate": True,
            "cancellation_details": {"feedback": "too_expensive"},
            "expand": ["latest_invoice"],
        },
    )
    assert (ended.status, latest(ended).total, latest(ended).status) == ("canceled", -1_000, "paid")
    assert ended.cancellation_details
    assert ended.cancellation_details.feedback == "too_expensive"
    assert (await bench.events())[-1] == "customer.subscription.deleted"
    assert (await bench.stripe.v1.customers.retrieve_async(ada.id)).balance == -1_000
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        await bench.stripe.v1.subscriptions.cancel_async(sub.id)
    with pytest.raises(stripe.InvalidRequestError, match="cancellation_details and metadata"):
        await change(bench, sub, description="again")
    assert (await change(bench, sub, metadata={"a": "1"})).metadata.to_dict() == {"a": "1"}


async def test_a_deleted_customer_has_no_subscriptions(bench: Bench) -> None:
    ada = await customer(bench)
    sub = await subscribe(bench, ada, await price(bench))
    await bench.stripe.v1.customers.delete_async(ada.id)
    assert (await now(bench, sub)).status == "canceled"
    assert (await bench.events())[-2:] == ["customer.deleted", "customer.subscription.deleted"]
    assert (await bench.stripe.v1.subscriptions.list_async()).data == []
    everything = await bench.stripe.v1.subscriptions.list_async({"status": "all"})
    assert [found.id for found in everything.data] == [sub.id]


async def test_discounts_come_and_go(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 50, "duration": "forever"})
    sub = await subscribe(
        bench, await customer(bench), await price(bench), discounts=[{"coupon": coupon.id}]
    )
    assert (len(sub.discounts), latest(sub).amount_paid) == (1, 1_000)
    gone = await bench.stripe.v1.subscriptions.delete_discount_async(sub.id)
    assert gone.deleted
    assert (await now(bench, sub)).discounts == []
    assert "customer.discount.created" in await bench.events()
    assert (await bench.events())[-1] == "customer.discount.deleted"


async def test_what_is_not_simulated_says_so(bench: Bench) -> None:
    ada, gold = await customer(bench), await price(bench)
    for params in (
        {"payment_behavior": "pending_if_incomplete"},
        {"billing_mode": {"type": "classic"}},
        {"backdate_start_date": 1},
        {"payment_settings": {"payment_method_options": {"card": {"network": "visa"}}}},
    ):
        with pytest.raises(stripe.APIError, match="does not simulate"):
            await subscribe(bench, ada, gold, **params)
