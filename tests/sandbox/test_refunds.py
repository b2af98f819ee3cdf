"""Refunds: full, partial, several, pending first, failing late."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def paid(bench: Bench, method: str = "pm_card_visa") -> stripe.PaymentIntent:
    return await bench.stripe.v1.payment_intents.create_async(
        {"amount": 10_000, "currency": "usd", "confirm": True, "payment_method": method}
    )


async def charge_of(bench: Bench, intent: stripe.PaymentIntent) -> stripe.Charge:
    return await bench.stripe.v1.charges.retrieve_async(
        str(intent.latest_charge), {"expand": ["refunds"]}
    )


async def test_several_partial_refunds_exhaust_a_charge(bench: Bench) -> None:
    intent = await paid(bench)
    first = await bench.stripe.v1.refunds.create_async(
        {"payment_intent": intent.id, "amount": 4_000, "reason": "requested_by_customer"}
    )
    assert (first.status, first.amount, first.charge) == ("succeeded", 4_000, intent.latest_charge)
    charge = await charge_of(bench, intent)
    assert (charge.amount_refunded, charge.refunded) == (4_000, False)
    rest = await bench.stripe.v1.refunds.create_async({"charge": charge.id})
    assert rest.amount == 6_000
    charge = await charge_of(bench, intent)
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    assert charge.refunds is not None
    assert [refund.id for refund in charge.refunds.data] == [rest.id, first.id]
    assert (await bench.events())[-4:] == ["refund.created", "charge.refunded"] * 2
    with pytest.raises(stripe.InvalidRequestError) as again:
        await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert again.value.code == "charge_already_refunded"
    assert again.value.user_message == f"Charge {charge.id} has already been refunded."


async def test_more_than_is_left_is_refused(bench: Bench) -> None:
    intent = await paid(bench)
    await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id, "amount": 7_000})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id, "amount": 4_000})
    assert refused.value.user_message == (
        "Refund amount ($40.00) is greater than unrefunded amount on charge ($30.00)"
    )
    assert (refused.value.param, refused.value.code) == ("amount", None)


async def test_a_refund_is_booked_without_a_fee(bench: Bench) -> None:
    intent = await paid(bench)
    refund = await bench.stripe.v1.refunds.create_async(
        {"payment_intent": intent.id, "amount": 1_000, "expand": ["balance_transaction"]}
    )
    booked = refund.balance_transaction
    assert isinstance(booked, stripe.BalanceTransaction)
    assert (booked.amount, booked.fee, booked.net) == (-1_000, 0, -1_000)
    assert (booked.type, booked.reporting_category) == ("refund", "refund")


async def test_a_pending_refund_counts_when_it_arrives(bench: Bench) -> None:
    intent = await paid(bench, "pm_card_pendingRefund")
    refund = await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert (await charge_of(bench, intent)).amount_refunded == 0
    assert (await bench.events())[-1] == "refund.created"
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    await bench.settle()
    settled = await bench.stripe.v1.refunds.retrieve_async(refund.id)
    assert (settled.status, settled.pending_reason) == ("succeeded", None)
    assert (await charge_of(bench, intent)).amount_refunded == 10_000
    updated = (await bench.stripe.v1.events.list_async({"type": "refund.updated"})).data[0]
    assert updated.data.to_dict()["previous_attributes"] == {
        "status": "pending",
        "pending_reason": "processing",
    }


async def test_a_refund_that_fails_late_can_be_made_again(bench: Bench) -> None:
    intent = await paid(bench, "pm_card_refundFail")
    refund = await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    assert (await charge_of(bench, intent)).refunded is True
    await bench.settle()
    failed = await bench.stripe.v1.refunds.retrieve_async(
        refund.id, {"expand": ["failure_balance_transaction"]}
    )
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    returned = failed.failure_balance_transaction
    assert isinstance(returned, stripe.BalanceTransaction)
    assert (returned.amount, returned.type) == (10_000, "refund_failure")
    charge = await charge_of(bench, intent)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert "refund.failed" in await bench.events()
    again = await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert again.amount == 10_000


async def test_only_what_was_captured_is_refunded(bench: Bench) -> None:
    held = await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 10_000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "capture_method": "manual",
        }
    )
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await bench.stripe.v1.refunds.create_async({"payment_intent": held.id})
    await bench.stripe.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 3_000})
    refund = await bench.stripe.v1.refunds.create_async({"payment_intent": held.id})
    assert refund.amount == 3_000


async def test_metadata_of_a_refund_is_updated(bench: Bench) -> None:
    intent = await paid(bench)
    refund = await bench.stripe.v1.refunds.create_async(
        {"payment_intent": intent.id, "metadata": {"a": "1"}}
    )
    updated = await bench.stripe.v1.refunds.update_async(refund.id, {"metadata": {"a": ""}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {}
    event = (await bench.stripe.v1.events.list_async({"type": "refund.updated"})).data[0]
    assert event.data.to_dict()["previous_attributes"] == {"metadata": {"a": "1"}}


async def test_a_refund_is_canceled_only_while_it_needs_an_action(bench: Bench) -> None:
    intent = await paid(bench)
    refund = await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError, match="has a status of `succeeded`"):
        await bench.stripe.v1.refunds.cancel_async(refund.id)
    with bench.app.sandbox.work() as work:
        work.change(work.find("refund", refund.id), status="requires_action")
    canceled = await bench.stripe.v1.refunds.cancel_async(refund.id)
    assert canceled.status == "canceled"
    again = await bench.stripe.v1.refunds.create_async({"payment_intent": intent.id})
    assert again.amount == 10_000


async def test_refunds_are_listed_by_what_they_give_back(bench: Bench) -> None:
    first, second = await paid(bench), await paid(bench)
    mine = await bench.stripe.v1.refunds.create_async({"payment_intent": first.id})
    await bench.stripe.v1.refunds.create_async({"payment_intent": second.id})
    by_intent = await bench.stripe.v1.refunds.list_async({"payment_intent": first.id})
    by_charge = await bench.stripe.v1.refunds.list_async({"charge": str(first.latest_charge)})
    assert [r.id for r in by_intent.data] == [r.id for r in by_charge.data] == [mine.id]


@pytest.mark.parametrize("params", [{}, {"payment_intent": "pi_1", "charge": "ch_1"}])
async def test_a_refund_says_of_what_it_is(bench: Bench, params: dict[str, str]) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="One of the following params"):
        await bench.stripe.v1.refunds.create_async(params)  # type: ignore[arg-type]  # of the table above


async def test_a_refund_of_nothing_known_is_404(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.refunds.create_async({"payment_intent": "pi_none"})
    assert (refused.value.http_status, refused.value.param) == (404, "payment_intent")
