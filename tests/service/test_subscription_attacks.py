"""Subscriptions under attack: lost answers, slow creations, two tabs, moved links, odd dates."""

import asyncio
from datetime import timedelta

import pytest_asyncio

from service.plans import GOLD, SILVER, catch_up, shelve, subscribe, subscribed
from world import World, together


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


async def fault(world: World, path: str = "/v1/subscriptions", **what: object) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json={"path": path, **what})
    assert answer.status_code == 201, answer.text


async def statuses(world: World) -> dict[str, str]:
    listed = await world.at_stripe("GET", "/v1/subscriptions?limit=100&status=all")
    return {found["id"]: found["status"] for found in listed["data"]}


async def test_a_date_that_no_calendar_has_is_refused(shop: World) -> None:
    paid = await subscribed(shop)
    for date in (253_402_300_800, 10**18, 10**30):
        body = {"product_id": "gold", "proration_date": date}
        refused = await shop.ask(
            "POST", f"/stripe/subscriptions/{paid['id']}/change-plan", body, status=422
        )
        assert "proration_date" in refused["detail"]


async def test_a_creation_that_took_so_long_that_it_gave_way_cannot_be_paid(shop: World) -> None:
    other = await subscribe(shop, "backup")  # of another group; and the customer is made
    await fault(shop, method="POST", delay_seconds=0.5)
    slow = asyncio.create_task(subscribe(shop, "silver", status=409))
    while await shop.db.fetchval("select count(*) from subscription_requests") < 2:
        pass
    shop.clock.ahead = timedelta(seconds=61)
    made = await subscribe(shop, "gold")
    assert (await slow)["code"] == "in_flight"
    found = await statuses(shop)
    assert {id for id in found if found[id] == "incomplete"} == {other["id"], made["id"]}
    assert list(found.values()).count("canceled") == 1


async def test_two_requests_that_put_the_same_plan_aside_do_not_trip_each_other(
    shop: World,
) -> None:
    for n in range(4):
        who = {"user": f"u-{n}"}
        await subscribe(shop, "silver", **who)
        path, body = "/api/v1/stripe/create-subscription", {"product_id": "gold"}
        headers = shop.bearer(**who)
        answers = await together(
            *(shop.api.post(path, json=body, headers=headers) for _ in range(6))
        )
        assert {a.json().get("code") for a in answers} <= {None, "in_flight"}


async def test_a_customer_who_was_taken_over_takes_his_plan_along(shop: World) -> None:
    paid = await subscribed(shop)
    [customer] = (await shop.at_stripe("GET", "/v1/customers"))["data"]
    body = {"stripe_customer_id": customer["id"], "take_over": True}
    await shop.ask("PUT", "/customers/u-2", body, user="admin", role="admin")

    mine = await subscribe(shop)
    assert (mine["id"] != paid["id"], mine["user_id"]) == (True, "u-1")
    refused = await subscribe(shop, "gold", status=409, user="u-2")
    assert refused["subscription"] == paid["id"]
    await shop.ask("DELETE", f"/stripe/subscriptions/{paid['id']}?now=true", user="u-2")
    assert (await subscribe(shop, user="u-2"))["user_id"] == "u-2"
    assert (await subscribe(shop))["id"] == mine["id"]


async def test_two_tabs_with_two_plans_never_show_a_price_that_was_not_asked_for(
    shop: World,
) -> None:
    path = "/api/v1/stripe/create-checkout-session"
    for n in range(4):
        asked = ("silver", "gold") * 2
        headers = shop.bearer(f"u-{n}")
        answers = await together(
            *(shop.api.post(path, json={"product_id": key}, headers=headers) for key in asked)
        )
        pages = [(key, a.json()) for key, a in zip(asked, answers, strict=True) if a.is_success]
        assert pages, "somebody gets through"
        for key, made in pages:
            assert made["amount_cents"] == {"silver": SILVER, "gold": GOLD}[key]
