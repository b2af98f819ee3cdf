"""The items of S1 that concern subscriptions, at the very addresses of the document."""

from typing import Any

import pytest

from service.plans import catch_up, pay, shelve, subscribed
from world import Json, World

STRIPE = "/api/stripe"


@pytest.fixture(scope="module")
async def plans(shop: World) -> None:
    await shelve(shop)


async def send(
    shop: World, method: str, path: str, body: Json | None = None, *, status: int = 200, **who: Any
) -> Any:
    headers = shop.bearer(who["user"], who.get("role", "user"))
    answer = await shop.api.request(method, path, headers=headers, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_1_1_a_price_is_paid_each_period_on_stripes_page(shop: World, plans: None) -> None:
    [price] = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[]=silver"))["data"]
    body = {
        "user_id": 123,
        "price_id": price["id"],
        "success_url": "https://shop.example/success",
        "cancel_url": "https://shop.example/cancel",
        "mode": "subscription",
    }
    path = f"{STRIPE}/create-checkout-session"
    made = await send(shop, "POST", path, body, user="shop", role="service")
    assert made["url"].startswith("http")
    await shop.pay(made)
    await catch_up(shop)
    [seen] = (await send(shop, "GET", f"{STRIPE}/subscriptions/123", user="123"))["data"]
    assert (seen["status"], seen["user_id"], seen["entitled"]) == ("active", "123", True)


async def test_1_14_a_subscription_is_created_and_paid_by_elements(
    shop: World, plans: None
) -> None:
    body = {"price_id": "silver"}
    made = await send(shop, "POST", f"{STRIPE}/create-subscription", body, user="u-114")
    assert (made["status"], made["confirms"]) == ("incomplete", "payment")
    await pay(shop, made)
    await catch_up(shop)
    path = f"{STRIPE}/subscriptions/{made['id']}"
    assert (await send(shop, "GET", path, user="u-114"))["status"] == "active"


async def test_1_15_a_subscription_is_canceled_by_its_owner(shop: World, plans: None) -> None:
    paid = await subscribed(shop, user="u-115")
    path = f"{STRIPE}/subscriptions/{paid['id']}"
    assert (await send(shop, "DELETE", path, user="u-other", status=404))["code"] == "not_found"
    ending = await send(shop, "DELETE", path, user="u-115")
    assert (ending["cancel_at_period_end"], ending["entitled"]) == (True, True)
    ended = await send(shop, "DELETE", f"{path}?now=true", user="u-115")
    assert (ended["status"], ended["entitled"]) == ("canceled", False)


async def test_1_19_a_user_reads_his_subscriptions_and_nobody_elses(
    shop: World, plans: None
) -> None:
    mine = [await subscribed(shop, name, user="u-119") for name in ("silver", "backup")]
    path = f"{STRIPE}/subscriptions/u-119"
    listed = await send(shop, "GET", path, user="u-119")
    assert {found["id"] for found in listed["data"]} == {found["id"] for found in mine}
    short = await send(shop, "GET", f"{path}?limit=1", user="u-119")
    assert (len(short["data"]), short["has_more"]) == (1, True)
    assert (await send(shop, "GET", path, user="u-other", status=404))["code"] == "not_found"


async def test_1_23_a_summary_has_plan_period_entitlements_and_the_next_invoice(
    shop: World, plans: None
) -> None:
    paid = await subscribed(shop, user="u-123")
    path = "/api/financial/subscriptions/u-123/summary"
    found = await send(shop, "GET", path, user="u-123")
    assert found["plan"] == paid["plans"][0]
    assert found["period"]["end"] == paid["current_period_end"]
    assert found["entitlements"] == ["ai_generation", "export"]
    assert found["next_invoice"]["amount"] == "$29.99"
    assert (await send(shop, "GET", path, user="u-other", status=404))["code"] == "not_found"
