"""GET /stripe/analytics/payments: what came in, what it cost, what went back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from payments.core.errors import Invalid
from payments.domains.analytics import between
from world import DEPOSIT, Json, World

PATH = "/stripe/analytics/payments"


async def paid(world: World, card: str = "pm_card_visa") -> Json:
    intent = await world.intent(await world.book())
    await world.confirm(intent, card, status=None)
    return intent


async def figures(world: World, **query: object) -> Json:
    return await world.ask("GET", PATH, role="admin", params=query)


async def test_the_last_days_are_summed_up_to_the_cent_and_the_kind_of_card(world: World) -> None:
    assert (await figures(world))["total_amount"] == 0
    cards = ("pm_card_visa", "pm_usBankAccount", "pm_card_createDispute")
    first, *_ = [await paid(world, card) for card in cards]
    await paid(world, "pm_card_visa_chargeDeclined")
    form = {"payment_intent": first["id"], "amount": "2500", "reason": "requested_by_customer"}
    assert (await world.stripe.post("/v1/refunds", data=form)).status_code == 200
    await world.settle()
    await world.converge()

    found = await figures(world)
    [usd] = found["currencies"]
    ledger = (await world.at_stripe("GET", "/v1/balance_transactions"))["data"]
    fees, net = (sum(entry[name] for entry in ledger) for name in ("fee", "net"))
    assert (found["total_payments"], found["total_amount"]) == (3, 3 * DEPOSIT)
    assert found["currency"] == usd["currency"] == "usd"
    assert (usd["fees"], usd["net"]) == (fees, net)
    assert fees > 0
    assert net == 3 * DEPOSIT - 2500 - DEPOSIT - fees
    assert usd["refunds"] == {"count": 1, "amount": 2500}
    assert usd["disputes"] == {"count": 1, "amount": DEPOSIT}
    assert found["payment_methods"] == [
        {"type": kind, "currency": "usd", "count": count, "amount": count * DEPOSIT}
        for kind, count in (("card", 2), ("us_bank_account", 1))
    ]
    categories = [each["reporting_category"] for each in usd["categories"]]
    assert categories == ["charge", "dispute", "refund"]
    outcomes = found["outcomes"]
    assert (outcomes["succeeded"], outcomes["failed"]) == (3, 1)
    assert (outcomes["refunded"], outcomes["disputed"]) == (1, 1)
    assert (outcomes["success_rate"], outcomes["dispute_rate"]) == (0.75, 0.3333)
    [pattern] = found["refund_patterns"]
    assert (pattern["reason"], pattern["amount"]) == ("requested_by_customer", 2500)
    assert found["links"]["analytics"] == "https://dashboard.stripe.com/test/analytics"


async def test_every_page_is_read_and_nothing_outside_of_the_window(world: World) -> None:
    for _ in range(3):
        await paid(world)
    await world.settle()
    everything = await figures(world)
    pages = world.ctx.stripe.every(
        lambda c, params: c.v1.balance_transactions.list_async(params), limit=1
    )
    assert len([entry async for entry in pages]) == everything["total_payments"] == 3
    now = datetime.now(UTC)
    tomorrow, later = now + timedelta(1), now + timedelta(2)
    none = await figures(world, start=int(tomorrow.timestamp()), end=later.isoformat())
    assert (none["total_payments"], none["total_amount"], none["currencies"]) == (0, 0, [])
    again = await world.ctx.stripe.get_payment_analytics(
        start_date=now - timedelta(1), end_date=later
    )
    assert again.total_payments == 3


def test_days_are_days_of_the_zone_and_the_last_one_is_included() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # the 21st in Berlin
    since, until = between(None, None, now=now, zone=berlin)
    assert (since.isoformat(), until) == ("2026-10-22T00:00:00+02:00", now)
    day = now.date()
    since, until = between(day, day, now=now, zone=berlin)
    assert (since.isoformat(), until.isoformat()) == (
        "2026-11-20T00:00:00+01:00",
        "2026-11-21T00:00:00+01:00",
    )
    with pytest.raises(Invalid, match="not before"):
        between(now, now, now=now, zone=berlin)
    with pytest.raises(Invalid, match="370 days"):
        between(now - timedelta(371), now, now=now, zone=berlin)


async def test_a_window_that_means_nothing_is_refused_and_others_see_no_figures(
    world: World,
) -> None:
    for query in (
        {"start": "2026-01-01T00:00:00"},
        {"start": "yesterday"},
        {"end": "9999-12-31"},
        {"start": "2024-01-01", "end": "2026-01-01"},
        {"start": "2026-02-01", "end": "2026-01-01"},
    ):
        answer = await world.ask("GET", PATH, status=422, role="admin", params=query)
        assert next(iter(query)) in answer["detail"]
    for role in ("user", "service"):
        await world.ask("GET", PATH, status=403, role=role)
