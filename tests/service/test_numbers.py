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
    await at.subscribe(
        month, card="pm_card_chargeCustomerFail", payment_behavior="allow_incomplete"
    )
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


async def test_a_plan_has_its_own_row_with_its_share_of_what_a_discount_takes(
    shop: World, told: Json
) -> None:
    rows = {plan["price"]: plan for plan in told["plans"]}
    prices = (await shop.at_stripe("GET", "/v1/prices?limit=100"))["data"]
    of = {
        (p["unit_amount"], p["recurring"]["interval"], p["nickname"]): rows[p["id"]]
        for p in prices
        if p["id"] in rows
    }
    small = of[700, "month", None]  # three of it, and its part of the one that has two plans
    assert small["mrr"][0]["mrr"] == round(2_100 + Fraction(700 * 2_200, 2_700))
    assert (small["active"], small["name"], small["mrr_unknown"]) == (2, "Plan", 0)
    free = of[2_000, "month", "free"]
    assert (free["active"], free["trialing"], free["mrr"]) == (1, 1, [])
    month = of[2_000, "month", None]
    assert (month["past_due"], month["incomplete"], month["canceled"]) == (1, 1, 1)
    assert (month["mrr_unknown"], of[900, "year", None]["mrr_unknown"]) == (1, 1)
    assert told["plans"][0] == month, "the busiest comes first"


NOW: Final = datetime(2031, 3, 31, tzinfo=UTC)
ITEM: Final = {"price": "p", "amount": 1_000, "interval": "month", "interval_count": 1}
HALF: Final = {"percent_off": "50", "amount_off": None, "currency": None, "end": None}


@pytest.mark.parametrize(
    ("item", "discount", "each"),
    [
        ({}, HALF, Fraction(500)),
        ({}, HALF | {"end": int(NOW.timestamp())}, Fraction(1_000)),
        ({}, HALF | {"end": int(NOW.timestamp()) + 1}, Fraction(500)),
        ({}, HALF | {"percent_off": "33.33"}, Fraction("666.7")),
        ({"amount": 0}, HALF | {"percent_off": None, "amount_off": 5, "currency": "usd"}, 0),
        ({}, HALF | {"percent_off": None, "amount_off": 5, "currency": "eur"}, None),
        ({}, HALF | {"percent_off": None}, None),
        ({"amount": None}, HALF, None),
        ({"interval": None, "interval_count": None}, HALF, None),
        ({"interval": "fortnight"}, HALF, None),
        ({"interval_count": 6}, HALF, Fraction(250, 3)),
    ],
)
def test_what_runs_out_or_is_not_known_is_not_guessed(
    item: Json, discount: Json, each: Fraction | None
) -> None:
    found = monthly([ITEM | item], [discount], "usd", NOW)
    assert found == (None if each is None else [each])


@pytest.mark.parametrize(
    ("price", "item", "amount"),
    [
        ({}, {}, 6_000),
        ({"unit_amount": None}, {}, None),  # tiers, or fractions of a cent
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, {}, None),
        ({}, {"quantity": None}, None),
        ({"currency": "eur"}, {}, None),  # another of a price's currencies is charged
        ({}, {"discounts": ["di_1"]}, None),
        ({"transform_quantity": {"divide_by": 2, "round": "up"}}, {}, 4_000),
        ({"transform_quantity": {"divide_by": 2, "round": "down"}}, {}, 2_000),
    ],
)
async def test_what_an_item_costs_is_what_its_object_says(
    shop: World, price: Json, item: Json, amount: int | None
) -> None:
    found = await _any_subscription(shop)
    [sold] = found["items"]["data"]
    changed = sold | {
        "quantity": 3,
        "price": {**sold["price"], "unit_amount": 2_000, **price},
        **item,
    }
    columns = read({**found, "items": {"data": [changed]}})
    assert columns["items"][0]["amount"] == amount


async def _any_subscription(shop: World) -> Mapping[str, Any]:
    """One of the usd subscriptions to one plan, as Stripe gives it."""
    sync = shop.ctx.sync
    [first, *_] = [page async for page in observe.pages(sync, SUBSCRIPTION, status="trialing")]
    return first[0].object
