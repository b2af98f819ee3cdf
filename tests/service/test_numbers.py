"""GET /financial/admin/dashboard: what recurs, to the last fraction of a minor unit."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import pytest

from payments.domains.numbers.recurring import monthly
from payments.domains.subscriptions.tables import SUBSCRIPTION, read
from payments.sync import observe
from service.plans import catch_up
from service.subscribers import Subscribers
from world import Database, Json, World, open_world

PATH: Final = "/financial/admin/dashboard"

# What each subscription brings in a month, in minor units, worked out by hand.
USD: Final = {
    "monthly": Fraction(2_000),
    "yearly": Fraction(1_000),  # 12,000 / 12
    "weekly": Fraction(1_300),  # 300 x 52 / 12
    "every 3 months": Fraction(5_000, 3),
    "every 10 days": Fraction(3_650, 12),  # 100 x 365 / 12 / 10
    "three of it": Fraction(2_100),
    "half off": Fraction(1_000),
    "a third off for 3 months": Fraction("1333.4"),  # 2,000 x (1 - 0.3333)
    "5 dollars off a year": Fraction(11_500, 12),
    "90 % off once": Fraction(2_000),
    "half, then 5 dollars off": Fraction(500),
    "5 dollars, then half off": Fraction(750),
    "more off than it costs": Fraction(0),
    "two plans, 5 dollars off": Fraction(2_200),
    "canceled at the period's end": Fraction(2_000),
    "past due": Fraction(2_000),
}
JPY: Final = {"monthly yen": Fraction(500), "yearly yen": Fraction(10_000, 12)}


async def subscribe_all(at: Subscribers) -> None:
    """Every subscription of USD and JPY, and those that bring nothing."""
    month, year = await at.price(2_000), await at.price(12_000, "year")
    small, free = await at.price(700), await at.price(2_000, nickname="free")
    half = await at.coupon(percent_off="50", duration="forever")
    third = await at.coupon(percent_off="33.33", duration="repeating", duration_in_months=3)
    five = await at.coupon(amount_off=500, currency="usd", duration="forever")
    once = await at.coupon(percent_off="90", duration="once")
    much = await at.coupon(amount_off=5_000, currency="usd", duration="forever")

    await at.subscribe(month)
    await at.subscribe(year)
    await at.subscribe(await at.price(300, "week"))
    await at.subscribe(await at.price(5_000, "month", 3))
    await at.subscribe(await at.price(100, "day", 10))
    await at.subscribe(small, quantity=3)
    await at.subscribe(month, off=[half])
    await at.subscribe(month, off=[third])
    await at.subscribe(year, off=[five])
    await at.subscribe(month, off=[once])
    await at.subscribe(month, off=[half, five])
    await at.subscribe(month, off=[five, half])
    await at.subscribe(month, off=[much])
    await at.subscribe(month, small, off=[five])
    await at.subscribe(month, cancel_at_period_end="true")
    await at.fall_due(await at.subscribe(month, on=await at.clock(days_ago=40)), days=32)
    await at.subscribe(await at.price(500, currency="jpy"))
    await at.subscribe(await at.price(10_000, "year", currency="jpy"))

    await at.subscribe(free, trial_period_days=14)
    await at.end(await at.subscribe(month))
    paused: Json = {"pause_collection[behavior]": "void"}
    await at.change(await at.subscribe(free), **paused)
    await at.subscribe(month, card="pm_card_chargeCustomerFail", payment_behavior="allow_incomplete")
    await at.subscribe(month, await at.price(900, "year"), off=[five])


@pytest.fixture(scope="module")
async def shop(database: Database) -> AsyncIterator[World]:
    """Nothing is changed in it by the tests of this module."""
    await database.empty()
    async with open_world(database.url, catalogue=False) as opened:
        await subscribe_all(Subscribers(opened))
        await opened.settle()
        await catch_up(opened)
        yield opened


@pytest.fixture(scope="module")
async def told(shop: World) -> Json:
    return await shop.ask("GET", PATH, role="admin")


async def test_what_recurs_is_exact_and_rounded_once_a_currency(told: Json) -> None:
    usd, jpy = sum(USD.values()), sum(JPY.values())
    assert (usd, jpy) == (Fraction("21112.5") + Fraction(1, 15), Fraction(4_000, 3))
    assert told["subscriptions"]["mrr"] == [
        {"currency": "jpy", "mrr": 1_333, "amount": "¥1,333", "subscriptions": len(JPY)},
        {"currency": "usd", "mrr": 21_113, "amount": "$211.13", "subscriptions": len(USD)},
    ]
    assert told["subscriptions"]["mrr_unknown"] == 1, "an amount off bills of two intervals"


async def test_states_are_counted_as_stripe_has_them(told: Json) -> None:
    found = told["subscriptions"]
    states = ("active", "trialing", "past_due", "unpaid", "paused", "incomplete")
    active = len(USD) - 1 + len(JPY) + 2  # past due; collection paused, of unknown worth
    assert [found[state] for state in states] == [active, 1, 1, 0, 0, 1]
    assert found["canceled"] == 1
