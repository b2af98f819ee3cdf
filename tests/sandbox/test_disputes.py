"""Disputes: the cards that open them, the evidence that decides them, the money they move."""

import time

import pytest
import stripe

from stripe_sandbox.testing import Bench

PAID = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def disputed(
    bench: Bench, card: str = "createDispute", *, amount: int = 10_000
) -> list[stripe.Dispute]:
    """The disputes of a payment with this card, the first first."""
    intent = await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": amount,
            "currency": "usd",
            "confirm": True,
            "payment_method": f"pm_card_{card}",
            "capture_method": "automatic",
        }
    )
    assert intent.status == "succeeded"
    await bench.settle()
    page = await bench.stripe.v1.disputes.list_async({"payment_intent": intent.id})
    return list(reversed(page.data))


async def answer(bench: Bench, dispute: stripe.Dispute, text: str) -> stripe.Dispute:
    """The dispute after the bank has read this evidence."""
    sent = await bench.stripe.v1.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": text}, "submit": True}
    )
    assert sent.status.endswith("under_review")
    await bench.settle()
    return await bench.stripe.v1.disputes.retrieve_async(dispute.id)


@pytest.mark.parametrize(
    ("card", "reason", "code"),
    [
        ("createDispute", "fraudulent", "10.4"),
        ("createDisputeProductNotReceived", "product_not_received", "13.1"),
        ("createCe3EligibleDispute", "fraudulent", "10.4"),
    ],
)
async def test_a_dispute_takes_the_money_and_a_fee(
    bench: Bench, card: str, reason: str, code: str
) -> None:
    (dispute,) = await disputed(bench, card)
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", reason, 10_000)
    assert (dispute.network_reason_code, dispute.is_charge_refundable) == (code, False)
    (taken,) = dispute.balance_transactions
    assert (taken.amount, taken.fee, taken.net) == (-10_000, 1_500, -11_500)
    assert (taken.type, taken.reporting_category, taken.source) == (
        "adjustment",
        "dispute",
        dispute.id,
    )
    due = dispute.evidence_details.due_by
    assert due is not None
    assert 8 < (due - time.time()) / 86_400 < 10.1
    charge = await bench.stripe.v1.charges.retrieve_async(str(dispute.charge))
    assert charge.disputed
    assert await bench.events() == [
        *PAID,
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]
    (last,) = (await bench.stripe.v1.events.list_async({"limit": 1})).data
    assert (last.request and last.request.id, last.data.object.id) == (None, dispute.id)


async def test_a_charged_back_payment_cannot_be_refunded(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    refund: stripe.params.RefundCreateParams = {"payment_intent": str(dispute.payment_intent)}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.refunds.create_async(refund)
    assert refused.value.code == "charge_disputed"
    await answer(bench, dispute, "winning_evidence")
    assert (await bench.stripe.v1.refunds.create_async(refund)).status == "succeeded"


async def test_winning_evidence_brings_the_money_back_without_the_fee(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    won = await answer(bench, dispute, "winning_evidence")
    assert (won.status, won.evidence_details.submission_count) == ("won", 1)
    _, back = won.balance_transactions
    assert (back.amount, back.fee, back.reporting_category) == (10_000, 0, "dispute_reversal")
    assert (await bench.events())[-3:] == [
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]
    listed = await bench.stripe.v1.balance_transactions.list_async({"expand": ["data.source"]})
    assert [row.source.object for row in listed.data] == ["dispute", "dispute", "charge"]  # type: ignore[union-attr]  # expanded
    assert sum(row.net for row in listed.data) == 10_000 - 320 - 1_500


async def test_losing_evidence_loses(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    lost = await answer(bench, dispute, "losing_evidence")
    assert (lost.status, len(lost.balance_transactions)) == ("lost", 1)
    assert (await bench.events())[-2:] == ["charge.dispute.updated", "charge.dispute.closed"]


async def test_the_bank_takes_its_time_about_any_other_evidence(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    assert (await answer(bench, dispute, "They were at the dinner.")).status == "under_review"


async def test_staged_evidence_waits_until_it_is_submitted(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    staged = await bench.stripe.v1.disputes.update_async(
        dispute.id, {"evidence": {"customer_name": "Jenny Rosen"}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    assert staged.evidence_details.submission_count == 0
    sent = await bench.stripe.v1.disputes.update_async(dispute.id, {"submit": True})
    assert (sent.status, sent.evidence.customer_name) == ("under_review", "Jenny Rosen")
    with pytest.raises(stripe.InvalidRequestError, match="`under_review`"):
        await bench.stripe.v1.disputes.close_async(dispute.id)
    noted = await bench.stripe.v1.disputes.update_async(dispute.id, {"metadata": {"a": "1"}})
    assert noted.metadata.to_dict() == {"a": "1"}


async def test_a_dispute_that_is_closed_is_lost(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    closed = await bench.stripe.v1.disputes.close_async(dispute.id)
    assert (closed.status, len(closed.balance_transactions)) == ("lost", 1)
    with pytest.raises(stripe.InvalidRequestError, match="has a status of `lost`"):
        await bench.stripe.v1.disputes.close_async(dispute.id)


async def test_an_inquiry_takes_no_money_until_it_escalates(bench: Bench) -> None:
    (inquiry,) = await disputed(bench, "createDisputeInquiry")
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert inquiry.balance_transactions == []
    assert await bench.events() == [*PAID, "charge.dispute.created"]
    escalated = await answer(bench, inquiry, "escalate_inquiry_evidence")
    assert (escalated.status, len(escalated.balance_transactions)) == ("needs_response", 1)
    assert escalated.payment_method_details is not None
    assert escalated.payment_method_details.card is not None
    assert escalated.payment_method_details.card.case_type == "chargeback"
    assert (await bench.events())[-2:] == [
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]
    assert (await answer(bench, escalated, "losing_evidence")).status == "lost"


async def test_an_answered_inquiry_is_closed(bench: Bench) -> None:
    (inquiry,) = await disputed(bench, "createDisputeInquiry")
    closed = await answer(bench, inquiry, "winning_evidence")
    assert (closed.status, closed.balance_transactions) == ("warning_closed", [])


async def test_several_disputes_share_the_amount(bench: Bench) -> None:
    disputes = await disputed(bench, "createMultipleDisputes", amount=10_001)
    assert [dispute.amount for dispute in disputes] == [5_001, 5_000]
    assert (await bench.events())[-2:] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]


async def test_a_hold_is_disputed_when_it_is_captured(bench: Bench) -> None:
    intent = await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 10_000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_createDispute",
            "capture_method": "manual",
        }
    )
    await bench.settle()
    assert (await bench.stripe.v1.disputes.list_async()).data == []
    await bench.stripe.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 4_000})
    await bench.settle()
    (dispute,) = (await bench.stripe.v1.disputes.list_async()).data
    assert dispute.amount == 4_000


async def test_balance_transactions_are_filtered(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    debit = await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 2_000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_usBankAccount_success",
        }
    )
    await bench.settle()
    await bench.stripe.v1.refunds.create_async({"payment_intent": debit.id})

    async def found(form: stripe.params.BalanceTransactionListParams) -> list[tuple[str, str]]:
        page = await bench.stripe.v1.balance_transactions.list_async(form)
        return [(row.type, row.reporting_category) for row in page.data]

    assert await found({"type": "adjustment"}) == [("adjustment", "dispute")]
    assert await found({"source": str(dispute.charge)}) == [("charge", "charge")]
    assert await found({"source": str(debit.latest_charge)}) == [("payment", "charge")]
    assert await found({"type": "payment_refund"}) == [("payment_refund", "refund")]
    assert await found({"source": dispute.id}) == []
    assert await found({"currency": "eur"}) == []
    assert len(await found({"currency": "usd", "created": {"gte": 1}})) == 4
    assert await found({"created": {"lt": 1}}) == []


async def test_a_lost_dispute_is_won_late(bench: Bench) -> None:
    (dispute,) = await disputed(bench)
    path = f"/_sandbox/disputes/{dispute.id}/win"
    assert (await bench.http.post(path)).status_code == 400
    await bench.stripe.v1.disputes.close_async(dispute.id)
    assert (await bench.http.post(path)).json()["status"] == "won"
    won = await bench.stripe.v1.disputes.retrieve_async(dispute.id)
    assert [moved.amount for moved in won.balance_transactions] == [-10_000, 10_000]
    assert (await bench.events())[-3:] == [
        "charge.dispute.closed",
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
    ]


async def test_a_fraud_warning_is_no_longer_actionable_when_the_money_is_back(bench: Bench) -> None:
    await disputed(bench, "createIssuerFraudRecord")
    warnings = bench.stripe.v1.radar.early_fraud_warnings
    (warning,) = (await warnings.list_async({"expand": ["data.charge"]})).data
    assert isinstance(warning.charge, stripe.Charge)
    assert (warning.actionable, warning.fraud_type) == (True, "misc")
    assert (await bench.events())[-1] == "radar.early_fraud_warning.created"
    await bench.stripe.v1.refunds.create_async({"charge": warning.charge.id, "amount": 1_000})
    assert (await warnings.retrieve_async(warning.id)).actionable
    await bench.stripe.v1.refunds.create_async({"charge": warning.charge.id})
    assert not (await warnings.retrieve_async(warning.id)).actionable
    assert (await bench.events())[-1] == "radar.early_fraud_warning.updated"
