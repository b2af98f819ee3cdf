"""Invoices and money: attempts, 3DS, retries, payment outside of Stripe, the customer's balance."""

from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer, invoice, new_events
from stripe_sandbox.testing import Bench

PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice_payment.paid",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
]


async def finalized(bench: Bench, of: stripe.Customer, *amounts: int, **params: Any) -> Any:
    draft = await invoice(bench, of, *amounts, **params)
    return await bench.stripe.v1.invoices.finalize_invoice_async(
        draft.id, {"expand": ["payments.data.payment.payment_intent"]}
    )


def intent_of(invoice: Any) -> Any:
    return invoice.payments.data[0].payment.payment_intent


async def test_an_invoice_is_paid_with_the_customers_default_card(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench), 1_500)
    seen = len(await bench.events())
    paid = await bench.stripe.v1.invoices.pay_async(opened.id, {"expand": ["payments"]})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1_500, 0)
    assert (paid.attempted, paid.attempt_count, paid.next_payment_attempt) == (True, 1, None)
    assert paid.payments
    assert paid.payments.data[0].status == "paid"
    assert await new_events(bench, seen) == PAID
    by: Any = {"type": "payment_intent", "payment_intent": intent_of(opened).id}
    (payment,) = (await bench.stripe.v1.invoice_payments.list_async({"payment": by})).data
    assert (payment.invoice, payment.amount_paid, payment.is_default) == (opened.id, 1_500, True)
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        await bench.stripe.v1.invoices.pay_async(opened.id)


async def test_paying_a_draft_finalises_it_first(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench), 1_500)
    paid = await bench.stripe.v1.invoices.pay_async(draft.id)
    assert (paid.status, bool(paid.number)) == ("paid", True)


async def test_without_a_payment_method_nothing_is_attempted(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench, None), 1_500)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await bench.stripe.v1.invoices.pay_async(opened.id)
    assert "invoice.payment_failed" not in await bench.events()


async def test_a_declined_card_leaves_the_invoice_open(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench, "chargeCustomerFail"), 1_500)
    seen = len(await bench.events())
    with pytest.raises(stripe.CardError) as declined:
        await bench.stripe.v1.invoices.pay_async(opened.id)
    assert declined.value.error
    assert declined.value.error.decline_code == "generic_decline"
    left = await bench.stripe.v1.invoices.retrieve_async(opened.id)
    assert (left.status, left.attempted, left.attempt_count) == ("open", True, 1)
    assert left.next_payment_attempt is None
    assert await new_events(bench, seen) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
    ]
    saved = await bench.stripe.v1.invoices.pay_async(opened.id, {"payment_method": "pm_card_visa"})
    assert (saved.status, saved.attempt_count) == ("paid", 1)


async def test_a_card_that_wants_3ds_waits_for_the_customer(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, "authenticationRequired", test_clock=time_.id)
    opened = await finalized(bench, ada, 1_500)
    seen = len(await bench.events())
    with pytest.raises(stripe.CardError) as waiting:
        await bench.stripe.v1.invoices.pay_async(opened.id)
    error = waiting.value.error
    assert error
    assert error.code == "invoice_payment_intent_requires_action"
    intent = error.payment_intent
    assert intent
    assert intent.status == "requires_action"
    assert await new_events(bench, seen) == [
        "payment_intent.requires_action",
        "invoice.payment_action_required",
        "invoice.updated",
        "invoice.payment_failed",
    ]
    answered = await bench.http.post(
        f"/3ds/{intent.id}",
        data={"client_secret": intent.client_secret, "outcome": "complete"},
    )
    assert answered.is_success or answered.is_redirect
    paid = await bench.stripe.v1.invoices.retrieve_async(opened.id)
    assert (paid.status, paid.amount_paid) == ("paid", 1_500)
    assert paid.status_transitions.paid_at == time_.frozen_time


async def test_an_intent_that_the_client_confirms_pays_the_invoice(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench, None), 1_500)
    await bench.stripe.v1.payment_intents.confirm_async(
        intent_of(opened).id, {"payment_method": "pm_card_visa", "return_url": "https://a.test"}
    )
    assert (await bench.stripe.v1.invoices.retrieve_async(opened.id)).status == "paid"
    assert (await bench.events())[-6:] == PAID


async def test_a_debit_pays_the_invoice_when_it_has_come_through(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench, None), 1_500)
    pending = await bench.stripe.v1.invoices.pay_async(
        opened.id, {"payment_method": "pm_usBankAccount_success"}
    )
    assert pending.status == "open"
    again = await bench.stripe.v1.invoices.pay_async(opened.id, {"payment_method": "pm_card_visa"})
    assert again.status == "open"
    await bench.settle()
    assert len((await bench.stripe.v1.charges.list_async()).data) == 1
    assert (await bench.stripe.v1.invoices.retrieve_async(opened.id)).status == "paid"


async def test_an_intent_that_is_canceled_voids_its_invoice(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench), 1_500)
    await bench.stripe.v1.payment_intents.cancel_async(intent_of(opened).id)
    voided = await bench.stripe.v1.invoices.retrieve_async(opened.id, {"expand": ["payments"]})
    assert voided.payments
    assert (voided.status, voided.payments.data[0].status) == ("void", "canceled")


async def test_automatic_collection_retries_three_times_and_then_leaves_it_open(
    bench: Bench,
) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, "chargeCustomerFail", test_clock=time_.id)
    draft = await invoice(bench, ada, 1_500, auto_advance=True)
    first = time_.frozen_time + 3_600
    tried = []
    for at in (first, first + 3 * DAY, first + 5 * DAY, first + 7 * DAY, first + 20 * DAY):
        await advance(bench, time_, to=at)
        now = await bench.stripe.v1.invoices.retrieve_async(draft.id)
        tried.append((now.attempt_count, now.next_payment_attempt))
    assert tried == [
        (1, first + 3 * DAY),
        (2, first + 5 * DAY),
        (3, first + 7 * DAY),
        (4, None),
        (4, None),
    ]
    assert (await bench.events()).count("invoice.payment_failed") == 4


async def test_automatic_collection_can_be_turned_off(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    draft = await invoice(bench, ada, 1_500, auto_advance=True)
    opened = await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)
    assert opened.next_payment_attempt == time_.frozen_time + 3_600
    off = await bench.stripe.v1.invoices.update_async(draft.id, {"auto_advance": False})
    assert off.next_payment_attempt is None
    await advance(bench, time_, to=time_.frozen_time + 30 * DAY)
    assert (await bench.stripe.v1.invoices.retrieve_async(draft.id)).status == "open"


async def test_a_new_card_lets_a_retry_succeed(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, "chargeCustomerFail", test_clock=time_.id)
    draft = await invoice(bench, ada, 1_500, auto_advance=True)
    first = time_.frozen_time + 3_600
    await advance(bench, time_, to=first)
    method = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_visa", {"customer": ada.id}
    )
    await bench.stripe.v1.invoices.update_async(draft.id, {"default_payment_method": method.id})
    await advance(bench, time_, to=first + 3 * DAY)
    paid = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (paid.status, paid.attempt_count) == ("paid", 2)


async def test_an_invoice_paid_outside_of_stripe_cancels_its_intent(bench: Bench) -> None:
    opened = await finalized(bench, await customer(bench), 1_500)
    paid = await bench.stripe.v1.invoices.pay_async(opened.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 1_500)
    intent = await bench.stripe.v1.payment_intents.retrieve_async(intent_of(opened).id)
    assert intent.status == "canceled"
    assert not (await bench.stripe.v1.balance_transactions.list_async()).data
    assert "invoice.voided" not in await bench.events()


async def test_nothing_due_is_paid_at_once(bench: Bench) -> None:
    empty = await invoice(bench, await customer(bench, None))
    seen = len(await bench.events())
    paid = await bench.stripe.v1.invoices.finalize_invoice_async(
        empty.id, {"expand": ["payments", "confirmation_secret"]}
    )
    assert paid.payments is not None
    assert (paid.status, paid.amount_paid, paid.payments.data) == ("paid", 0, [])
    assert paid.confirmation_secret is None
    assert await new_events(bench, seen) == [
        "invoice.updated",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


async def test_too_little_to_charge_is_owed_with_the_next_invoice(bench: Bench) -> None:
    ada = await customer(bench)
    small = await finalized(bench, ada, 30)
    assert (small.status, small.amount_due, small.ending_balance) == ("paid", 0, 30)
    next_ = await finalized(bench, ada, 1_000)
    assert (next_.starting_balance, next_.amount_due, next_.ending_balance) == (30, 1_030, 0)
    moves = await bench.stripe.v1.customers.balance_transactions.list_async(ada.id)
    assert [(move.type, move.amount) for move in moves.data] == [
        ("applied_to_invoice", -30),
        ("invoice_too_small", 30),
    ]


async def test_credit_pays_a_part_and_the_card_the_rest(bench: Bench) -> None:
    ada = await customer(bench)
    await bench.stripe.v1.customers.balance_transactions.create_async(
        ada.id, {"amount": -700, "currency": "usd"}
    )
    draft = await invoice(bench, ada, 1_000)
    assert (draft.total, draft.starting_balance, draft.amount_due) == (1_000, -700, 300)
    paid = await bench.stripe.v1.invoices.pay_async(draft.id)
    assert (paid.amount_paid, paid.ending_balance) == (300, 0)
    assert (await bench.stripe.v1.customers.retrieve_async(ada.id)).balance == 0


async def test_a_negative_invoice_becomes_credit(bench: Bench) -> None:
    ada = await customer(bench)
    refund = await finalized(bench, ada, 200, -900)
    assert (refund.status, refund.total, refund.ending_balance) == ("paid", -700, -700)
    assert (await bench.stripe.v1.customers.retrieve_async(ada.id)).balance == -700
