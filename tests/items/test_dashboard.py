"""The items that concern numbers, of every document: one shop, looked at by its admin."""

from typing import Any

import pytest

from items.conftest import catch_up
from service.accounts import add, spend
from service.plans import SILVER, shelve, subscribe, subscribed
from world import DEPOSIT, Json, World


@pytest.fixture(scope="module")
async def told(shop: World) -> Json:
    """A deposit, two subscriptions of which one is given up, an open form, a decline, credits."""
    await shelve(shop)
    await shop.confirm(await shop.intent(await shop.book()))
    await shop.confirm(await shop.intent(await shop.book()), "pm_card_visa_chargeDeclined", 402)
    await subscribed(shop, "silver", user="u-2")
    ended = await subscribed(shop, "gold", user="u-3")
    await shop.ask("DELETE", f"/stripe/subscriptions/{ended['id']}?now=true", user="u-3")
    await subscribe(shop, "silver", user="u-4")
    await add(shop, 100)
    await spend(shop, 40)
    await shop.settle()
    await catch_up(shop)
    return await look(shop)


async def look(shop: World, path: str = "/api/financial/admin/dashboard", **query: Any) -> Json:
    headers = shop.bearer("boss", "admin")
    answer = await shop.api.request("GET", path, headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_1_24_the_admin_dashboard_is_one_page_and_nobody_elses(
    shop: World, told: Json
) -> None:
    assert {"revenue", "payments", "subscriptions", "plans", "credits", "disputes"} <= set(told)
    assert (told["credits"]["outstanding"], told["credits"]["spent"]) == (60, 40)
    same = await look(shop, "/api/v1/financial/admin/dashboard", end=told["end"])
    assert {**same, "as_of": None, "start": None} == {**told, "as_of": None, "start": None}
    for role in ("user", "service"):
        await shop.ask("GET", "/financial/admin/dashboard", status=403, role=role)


async def test_0_4_basic_figures_come_with_links_to_stripes_own_pages(told: Json) -> None:
    assert told["payments"]["total_payments"] == 3
    assert told["payments"]["links"]["analytics"].startswith("https://dashboard.stripe.com/")


async def test_1_43_success_failure_and_churn_are_rates(told: Json) -> None:
    outcomes = told["payments"]["outcomes"]
    assert (outcomes["success_rate"], outcomes["failure_rate"]) == (0.75, 0.25)
    assert told["subscriptions"]["churn"]["rate"] is None, "nobody was there 30 days ago"


async def test_2_21_revenue_is_total_of_subscriptions_and_one_time(told: Json) -> None:
    [usd] = told["revenue"]
    assert usd["one_time_revenue"] == DEPOSIT
    assert usd["subscription_revenue"] == SILVER + 5_999
    assert usd["total_revenue"] == DEPOSIT + SILVER + 5_999
    assert (usd["customer_count"], usd["average_order_value"]) == (3, 6_333)


async def test_2_22_subscriptions_are_active_churned_and_bring_so_much_a_month(
    told: Json,
) -> None:
    found = told["subscriptions"]
    assert (found["active"], found["incomplete"], found["canceled"]) == (1, 1, 1)
    [usd] = found["mrr"]
    assert (usd["mrr"], usd["amount"], usd["subscriptions"]) == (SILVER, "$29.99", 1)
    assert found["churn"]["subscriptions_ended"] == 0


async def test_4_19_conversion_and_monthly_revenue_are_told_plan_by_plan(told: Json) -> None:
    plans = {plan["lookup_key"]: plan for plan in told["plans"]}
    assert plans["silver"]["checkouts"] == {"opened": 2, "completed": 1, "rate": 0.5}
    assert plans["gold"]["checkouts"] == {"opened": 1, "completed": 1, "rate": 1.0}
    assert (plans["gold"]["mrr"], plans["gold"]["canceled"]) == ([], 1)
    assert plans["silver"]["mrr"][0]["mrr"] == SILVER
    assert told["payments"]["outcomes"]["failed"] == 1
