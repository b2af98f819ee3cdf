"""Plans on a Checkout page: one page for a user and plan group, however many tabs are open."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from service.plans import GOLD, SILVER, catch_up, pay, shelve, subscribe, subscribed
from service.variants import application, served
from world import Json, World, together


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


async def page(world: World, product: str = "silver", status: int = 200, **body: Any) -> Json:
    path = "/stripe/create-checkout-session"
    return await world.ask("POST", path, {"product_id": product, **body}, status=status)


async def open_pages(world: World) -> list[str]:
    found = await world.at_stripe("GET", "/v1/checkout/sessions?status=open&limit=100")
    return [session["id"] for session in found["data"]]


async def test_a_plan_is_paid_on_stripes_page_and_then_known(shop: World) -> None:
    made = await page(shop, mode="subscription")
    assert (made["amount_cents"], made["currency"]) == (SILVER, "usd")
    await shop.pay(made)
    await catch_up(shop)
    state = await shop.ask("GET", f"/stripe/checkout-sessions/{made['session_id']}")
    assert (state["status"], state["paid"]) == ("complete", True)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert (seen["status"], seen["entitled"]) == ("active", True)
    [request] = await shop.rows("select form, stripe_id, closed_at from subscription_requests")
    assert tuple(request) == ("checkout_session", seen["id"], None)
    for product in ("silver", "gold"):
        assert (await page(shop, product, status=409))["subscription"] == seen["id"]
    assert (await subscribe(shop, "gold", status=409))["subscription"] == seen["id"]


async def test_two_tabs_have_one_page(shop: World) -> None:
    answers = await together(*(page(shop) for _ in range(2)))
    assert len({answer["session_id"] for answer in answers}) == 1
    assert len(await open_pages(shop)) == 1
    assert await shop.db.fetchval("select count(*) from subscription_requests") == 1


async def test_another_plan_closes_the_page_of_the_first(shop: World) -> None:
    first = await page(shop)
    second = await page(shop, "gold")
    assert second["amount_cents"] == GOLD
    assert await open_pages(shop) == [second["session_id"]]
    await shop.pay(first, status=400)
    await shop.pay(second)
    await catch_up(shop)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert seen["plans"][0]["lookup_key"] == "gold"


async def test_elements_close_the_page_and_a_page_waits_for_them(shop: World) -> None:
    await page(shop)
    made = await subscribe(shop)
    assert await open_pages(shop) == []
    assert (await page(shop, status=409))["subscription"] == made["id"]
    await pay(shop, made)
    await catch_up(shop)
    assert len((await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]) == 1


@pytest.mark.parametrize("again", [page, subscribe])
async def test_a_page_that_was_completed_unheard_makes_no_second_plan(
    shop: World, again: Callable[..., Awaitable[Json]]
) -> None:
    await shop.pay(await page(shop))
    [only] = (await shop.at_stripe("GET", "/v1/subscriptions?status=all"))["data"]
    for product in ("silver", "gold"):
        assert (await again(shop, product, status=409))["subscription"] == only["id"]
    assert len((await shop.at_stripe("GET", "/v1/subscriptions?status=all"))["data"]) == 1


async def test_a_plan_may_be_paid_again_by_page_once_the_last_has_ended(shop: World) -> None:
    paid = await subscribed(shop)
    await shop.ask("DELETE", f"/stripe/subscriptions/{paid['id']}?now=true")
    await shop.pay(await page(shop))
    await catch_up(shop)
    listed = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert sorted(found["status"] for found in listed) == ["active", "canceled"]


async def test_a_trial_needs_no_payment_and_is_given_once(shop: World) -> None:
    [gold] = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[]=gold"))["data"]
    days: Json = {"metadata[trial_days]": "7"}
    await shop.at_stripe("POST", f"/v1/products/{gold['product']}", **days)
    await catch_up(shop)
    made = await page(shop, "gold")
    assert made["amount_cents"] == 0
    await shop.pay(made)
    await catch_up(shop)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert (seen["status"], seen["entitled"]) == ("trialing", True)
    await shop.ask("DELETE", f"/stripe/subscriptions/{seen['id']}?now=true")
    assert (await page(shop, "gold"))["amount_cents"] == GOLD


async def test_promotion_codes_are_taken_where_the_settings_say_so(shop: World) -> None:
    path = "/api/v1/stripe/create-checkout-session"
    for wanted in (False, True):
        async with served(application(shop, promotion_codes=wanted)) as api:
            made = await api.post(path, json={"product_id": "silver"}, headers=shop.bearer())
        session = await shop.at_stripe("GET", f"/v1/checkout/sessions/{made.json()['session_id']}")
        assert bool(session["allow_promotion_codes"]) is wanted


async def test_a_page_has_the_trial_and_the_code_that_it_was_opened_with(shop: World) -> None:
    coupon = await shop.at_stripe("POST", "/v1/coupons", percent_off=50, duration="once")
    code: Json = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"], "code": "HALF"}
    await shop.at_stripe("POST", "/v1/promotion_codes", **code)
    plain = await page(shop)
    opened = await page(shop, promotion_code="HALF")
    assert opened["amount_cents"] == SILVER // 2
    assert await open_pages(shop) == [opened["session_id"]] != [plain["session_id"]]
    assert (await page(shop, promotion_code="half"))["session_id"] == opened["session_id"]
    refused = await page(shop, promotion_code="NONE", status=422)
    assert "no code 'NONE'" in refused["detail"]

    await page(shop, trial_days=30, status=403)
    path, body = "/stripe/create-checkout-session", {"product_id": "silver", "trial_days": 30}
    given = await shop.ask("POST", path, {**body, "user_id": "u-2"}, role="service", user="shop")
    await shop.pay(given)
    await catch_up(shop)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-2", user="u-2"))["data"]
    assert seen["status"] == "trialing"
    wrong: list[Json] = [{"product_id": "credits_100", "trial_days": 3}]
    wrong += [{"booking_id": "b", **more} for more in ({"trial_days": 3}, {"promotion_code": "A"})]
    for body in wrong:
        await shop.ask("POST", path, body, status=422, role="service", user="shop")


async def test_what_is_no_plan_has_no_page_as_one(shop: World) -> None:
    for product, body, said in (
        ("menu_adult", {"mode": "subscription"}, "bought once"),
        ("silver", {"mode": "payment"}, "subscription"),
        ("nothing", {}, "nothing on sale"),
    ):
        assert said in (await page(shop, product, status=422, **body))["detail"]
    body = {"product_id": "silver"}
    await shop.ask("POST", "/stripe/create-payment-intent", body, status=422)
    assert await open_pages(shop) == []


async def test_whatever_is_asked_for_at_once_only_one_plan_can_be_paid(shop: World) -> None:
    asks = [ask(shop, product) for product in ("silver", "gold") for ask in (page, subscribe) * 2]
    answers = await together(*asks)
    assert [a for a in answers if isinstance(a, dict)], "somebody got through"
    for session in await open_pages(shop):
        path = f"/v1/payment_pages/{session}"
        due = (await shop.at_stripe("GET", f"/v1/checkout/sessions/{session}"))["amount_total"]
        form: Json = {"payment_method": "pm_card_visa", "expected_amount": due}
        await shop.at_stripe("POST", f"{path}/confirm", **form)
    for intent in (await shop.at_stripe("GET", "/v1/payment_intents?limit=100"))["data"]:
        form = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back"}
        await shop.at_stripe("POST", f"/v1/payment_intents/{intent['id']}/confirm", None, **form)
    active = (await shop.at_stripe("GET", "/v1/subscriptions?status=active"))["data"]
    assert len(active) == 1
