"""GET /financial/admin/dashboard: who began, left and paid after a trial; revenue, credits."""

from datetime import timedelta
from typing import Any

import pytest_asyncio

from payments.domains.credits import Note, ledger
from service.accounts import add, grant, spend
from service.plans import catch_up, pay, shelve, subscribe, subscribed
from service.subscribers import Subscribers
from world import DEPOSIT, Json, World

PATH = "/financial/admin/dashboard"


async def dashboard(world: World, **query: Any) -> Json:
    return await world.ask("GET", PATH, role="admin", params=query)


@pytest_asyncio.fixture
async def at(world: World) -> Subscribers:
    return Subscribers(world)


async def test_who_left_is_counted_of_those_who_paid_when_the_window_began(
    at: Subscribers,
) -> None:
    plan = await at.price(2_000)
    long_ago = await at.clock(days_ago=60)
    stayed, left, late, both = [await at.subscribe(plan, on=long_ago) for _ in range(4)]
    kept = await at.subscribe(plan, customer=both["customer"])
    early = await at.subscribe(plan, on=long_ago)
    await at.advance(long_ago, days=20)
    await at.end(early)  # 40 days ago: before the window
    await at.advance(long_ago, days=30)
    await at.end(left)  # 10 days ago
    await at.end(both)
    await at.advance(long_ago, days=8)
    await at.end(late)  # 2 days ago
    new = await at.subscribe(plan, on=await at.clock(days_ago=5))
    await at.end(new)  # ended, and had not been there at the start
    await never_paid(at, plan)
    await catch_up(at.world)

    found = (await dashboard(at.world))["subscriptions"]
    assert found["churn"] == {
        "subscriptions_at_start": 5,  # stayed, left, late, both, kept
        "subscriptions_ended": 3,
        "rate": 0.6,
        "customers_at_start": 4,
        "customers_lost": 2,  # left, late
        "customer_rate": 0.5,
    }
    assert (found["active"], found["started"], found["canceled"]) == (2, 1, 4)
    assert found["trials"]["ended"] == 0
    before = at.world.ctx.clock.now() - timedelta(days=6)
    query = {"start": (before - timedelta(days=20)).isoformat(), "end": before.isoformat()}
    earlier = (await dashboard(at.world, **query))["subscriptions"]
    assert (earlier["churn"]["subscriptions_ended"], earlier["canceled"]) == (2, 2)
    [row] = (await dashboard(at.world))["plans"]
    assert (row["subscriptions_at_start"], row["subscriptions_ended"]) == (5, 3)
    assert (row["churn_rate"], row["price"]) == (0.6, plan)
    alive = "select id from stripe.subscriptions where ended_at is null"
    assert {id for (id,) in await at.world.rows(alive)} == {stayed["id"], kept["id"]}


async def never_paid(at: Subscribers, plan: str) -> None:
    """It is there when the window begins, and is given up in it."""
    now = at.world.ctx.clock.now()
    today = now.replace(hour=0, minute=0, second=0) - timedelta(hours=1)
    clock = await at.clock(days_ago=30 + (now - today) / timedelta(days=1))
    made = await at.subscribe(plan, on=clock, card=None, payment_behavior="default_incomplete")
    await at.advance(clock, days=0.5)
    await at.end(made)


async def test_a_trial_converts_when_money_is_paid_after_it(at: Subscribers) -> None:
    plan, other = await at.price(2_000), await at.price(3_000)
    clock = await at.clock(days_ago=20)
    ends: Json = {"trial_settings[end_behavior][missing_payment_method]": "cancel"}
    await at.subscribe(plan, on=clock, trial_period_days=7)
    await at.subscribe(plan, on=clock, trial_period_days=7, card=None, **ends)
    given_up = await at.subscribe(plan, on=clock, trial_period_days=14)
    await at.subscribe(plan, on=clock, trial_period_days=60)  # still trying
    declined = await at.subscribe(other, on=clock, trial_period_days=7)
    await at.break_card(declined)
    await at.advance(clock, days=3)
    await at.end(given_up)
    await at.advance(clock, days=6)
    await catch_up(at.world)

    found = await dashboard(at.world)
    trials = {"ended": 4, "converted": 1, "rate": 0.25}
    assert found["subscriptions"]["trials"] == trials
    by_price = {row["price"]: row["trials"] for row in found["plans"]}
    assert by_price == {
        plan: {"ended": 3, "converted": 1, "rate": 0.3333},
        other: {"ended": 1, "converted": 0, "rate": 0.0},
    }
    assert found["subscriptions"]["churn"]["subscriptions_at_start"] == 0
    assert found["subscriptions"]["trialing"] == 1


async def test_a_checkout_converts_when_it_becomes_a_subscription(world: World) -> None:
    await shelve(world)
    order = {"product_id": "gold"}
    for user in ("u-1", "u-2"):
        page = await world.ask("POST", "/stripe/create-checkout-session", order, user=user)
    await world.pay(page)
    await subscribed(world, user="u-3")
    await subscribe(world, user="u-4")  # the form is open, and nothing paid
    await subscribe(world, "nothing", user="u-5", status=422)
    await catch_up(world)
    found = await dashboard(world)
    by_key = {plan["lookup_key"]: plan["checkouts"] for plan in found["plans"]}
    half = {"opened": 2, "completed": 1, "rate": 0.5}
    assert by_key == {"gold": half, "silver": half}
    assert found["subscriptions"]["checkouts"] == {"opened": 4, "completed": 2, "rate": 0.5}


async def test_revenue_is_split_into_subscriptions_and_the_rest(world: World) -> None:
    await shelve(world)
    await subscribed(world, "silver", user="u-1")  # 2,999
    await pay(world, await subscribe(world, "backup", user="u-1"))  # 500
    await world.confirm(await world.intent(await world.book()))
    await catch_up(world)
    found = await dashboard(world)
    assert found["revenue"] == [
        {
            "currency": "usd",
            "total_revenue": 2_999 + 500 + DEPOSIT,
            "subscription_revenue": 2_999 + 500,
            "one_time_revenue": DEPOSIT,
            "orders": 3,
            "customer_count": 1,
            "average_order_value": 4_500,  # 13,499 / 3 = 4,499.67
        }
    ]
    assert found["payments"]["outcomes"]["succeeded"] == 3
    assert found["payments"]["links"]["customers"].startswith("https://dashboard.stripe.com/")


async def test_credits_add_up(world: World) -> None:
    await add(world, 100)
    await spend(world, 30)
    await add(world, 50, user="u-2")
    now = world.ctx.clock.now()
    await grant(world, "payment:pi_1", 40, user="u-2", ends=timedelta(days=1))
    async with world.ctx.db.transaction() as tx:
        await ledger.set_target(tx, "payment:pi_1", 10, Note(now=now))
    found = (await dashboard(world))["credits"]
    assert found == {
        "outstanding": 130,
        "by_type": [
            {"credit_type": "manual", "credits": 120},
            {"credit_type": "payg", "credits": 10},
        ],
        "debt": 0,
        "waiting": 0,
        "granted": 190,
        "spent": 30,
        "expired": 0,
        "clawed_back": 30,
        "reinstated": 0,
        "debt_added": 0,
        "debt_paid": 0,
    }
    world.clock.ahead = timedelta(days=2)
    later = (await dashboard(world))["credits"]
    assert (later["outstanding"], later["by_type"][0]["credits"]) == (120, 120)
    none = await dashboard(world, start=int((now + timedelta(days=1)).timestamp()))
    assert (none["credits"]["granted"], none["credits"]["outstanding"]) == (0, 120)


async def test_disputes_say_what_is_to_be_done(world: World) -> None:
    await world.confirm(await world.intent(await world.book()), "pm_card_createDispute")
    await world.settle()
    await catch_up(world)
    found = (await dashboard(world))["disputes"]
    deadline = found.pop("next_deadline")
    assert found == {"opened": 1, "won": 0, "lost": 0, "open": 1, "needs_response": 1}
    assert deadline > world.ctx.clock.now().isoformat()


async def test_where_nothing_has_happened_there_are_zeros_and_no_rates(world: World) -> None:
    found = await dashboard(world)
    assert (found["revenue"], found["plans"], found["subscriptions"]["mrr"]) == ([], [], [])
    assert found["subscriptions"]["churn"]["rate"] is None
    assert found["subscriptions"]["trials"] == {"ended": 0, "converted": 0, "rate": None}
    assert found["disputes"]["next_deadline"] is None


async def test_a_window_that_means_nothing_is_refused_and_others_see_no_numbers(
    world: World,
) -> None:
    refused = await world.ask("GET", PATH, status=422, role="admin", params={"start": "yesterday"})
    assert "2027-06-12" in refused["detail"]
    for role in ("user", "service"):
        await world.ask("GET", PATH, status=403, role=role)
