"""Payouts: what they take from the balance, how they arrive, fail, are canceled and reversed."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def funded(bench: Bench, amount: int = 10_000) -> int:
    """What is available after a payment whose funds are available at once."""
    await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": amount,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_bypassPending",
        }
    )
    await bench.settle()
    return await available(bench)


async def available(bench: Bench) -> int:
    balance = await bench.stripe.v1.balance.retrieve_async()
    (part,) = balance.available
    return part.amount


async def paid_out(bench: Bench, **params: object) -> stripe.Payout:
    return await bench.stripe.v1.payouts.create_async(
        {"amount": 1_100, "currency": "usd", **params}  # type: ignore[typeddict-item]  # by name
    )


async def test_a_payout_leaves_the_balance_at_once_and_arrives_by_itself(bench: Bench) -> None:
    before = await funded(bench)
    payout = await paid_out(bench, description="Friday", metadata={"week": "7"})
    assert (payout.status, payout.automatic, payout.method) == ("pending", False, "standard")
    assert payout.arrival_date % 86_400 == 0
    assert await available(bench) == before - 1_100
    await bench.settle()
    arrived = await bench.stripe.v1.payouts.retrieve_async(
        payout.id, {"expand": ["balance_transaction", "destination"]}
    )
    assert arrived.status == "paid"
    moved = arrived.balance_transaction
    assert isinstance(moved, stripe.BalanceTransaction)
    assert (moved.amount, moved.fee, moved.type) == (-1_100, 0, "payout")
    assert (moved.reporting_category, moved.source) == ("payout", payout.id)
    assert isinstance(arrived.destination, stripe.BankAccount)
    assert arrived.destination.last4 == "6789"
    assert (await bench.events())[-5:] == [
        "balance.available",
        "charge.updated",
        "payout.created",
        "payout.updated",
        "payout.paid",
    ]


async def test_a_payout_takes_no_more_than_is_available(bench: Bench) -> None:
    await bench.stripe.v1.payment_intents.create_async(
        {
            "amount": 10_000,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "capture_method": "automatic",
        }
    )
    with pytest.raises(stripe.InvalidRequestError, match="insufficient funds") as refused:
        await paid_out(bench)
    assert refused.value.code == "balance_insufficient"
    assert (await bench.stripe.v1.payouts.list_async()).data == []


async def test_a_pending_payout_is_canceled(bench: Bench) -> None:
    before = await funded(bench)
    payout = await paid_out(bench)
    canceled = await bench.stripe.v1.payouts.cancel_async(payout.id)
    assert (canceled.status, await available(bench)) == ("canceled", before)
    assert canceled.failure_balance_transaction
    await bench.settle()
    assert (await bench.events())[-2:] == ["payout.created", "payout.canceled"]
    with pytest.raises(stripe.InvalidRequestError, match="`canceled`"):
        await bench.stripe.v1.payouts.cancel_async(payout.id)


async def test_a_payout_to_an_account_that_is_not_there_fails(bench: Bench) -> None:
    before = await funded(bench)
    payout = await paid_out(bench, destination="ba_sandbox_no_account")
    await bench.settle()
    failed = await bench.stripe.v1.payouts.retrieve_async(payout.id)
    assert (failed.status, failed.failure_code) == ("failed", "no_account")
    assert await available(bench) == before
    assert (await bench.events())[-1] == "payout.failed"
    with pytest.raises(stripe.InvalidRequestError, match="No such external account"):
        await paid_out(bench, destination="ba_nowhere")


async def test_payouts_are_listed_and_described(bench: Bench) -> None:
    await funded(bench)
    payout = await paid_out(bench)
    other = await paid_out(bench)
    await bench.stripe.v1.payouts.cancel_async(other.id)
    updated = await bench.stripe.v1.payouts.update_async(payout.id, {"metadata": {"foo": "bar"}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"foo": "bar"}
    assert (await bench.events())[-1] == "payout.updated"

    async def found(form: stripe.params.PayoutListParams) -> list[str]:
        return [row.id for row in (await bench.stripe.v1.payouts.list_async(form)).data]

    assert await found({}) == [other.id, payout.id]
    assert await found({"status": "canceled"}) == [other.id]
    assert await found({"arrival_date": {"lt": payout.arrival_date}}) == []
    assert await found({"arrival_date": other.arrival_date}) == [other.id, payout.id]
    assert await found({"destination": "ba_sandbox"}) == [other.id, payout.id]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"method": "instant"}, 501),
        ({"source_type": "fpx"}, 501),
        ({"amount": 0}, 400),
        ({"currency": "xxx"}, 400),
    ],
)
async def test_what_a_payout_cannot_be_is_refused(
    bench: Bench, params: dict[str, object], status: int
) -> None:
    with pytest.raises(stripe.StripeError) as refused:
        await paid_out(bench, **params)
    assert refused.value.http_status == status
