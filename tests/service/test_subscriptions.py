"""Subscribing over HTTP: who may, once per plan group whoever races, and what is shown."""

from datetime import timedelta
from typing import Any

import pytest_asyncio

from service.plans import catch_up, pay, shelve, subscribe, subscribed
from world import Json, World, together


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


async def at_stripe(world: World, **filters: str) -> list[Json]:
    path = "/v1/subscriptions?limit=100&status=" + filters.get("status", "all")
    return list((await world.at_stripe("GET", path))["data"])


async def test_a_plan_is_subscribed_to_and_gives_what_it_promises_once_it_is_paid(
    shop: World,
) -> None:
    made = await subscribe(shop)
    assert (made["status"], made["entitled"], made["confirms"]) == ("incomplete", False, "payment")
    assert made["publishable_key"] == "pk_test_sandbox"
    [plan] = made["plans"]
    assert (plan["lookup_key"], plan["tier"], plan["amount"]) == ("silver", "silver", "$29.99")
    assert plan["features"] == ["ai_generation", "export"]

    await pay(shop, made)
    await catch_up(shop)
    seen = await shop.ask("GET", f"/stripe/subscriptions/{made['id']}")
    assert (seen["status"], seen["entitled"], seen["user_id"]) == ("active", True, "u-1")
    listed = await shop.ask("GET", "/stripe/subscriptions/u-1")
    assert (listed["data"], listed["has_more"]) == ([seen], False)
    [stripes] = await at_stripe(shop)
    assert stripes["metadata"]["user_id"] == "u-1"
    [request] = await shop.rows("select * from subscription_requests")
    assert (request["stripe_id"], request["closed_at"]) == (made["id"], None)


async def test_two_simultaneous_requests_make_one_subscription(shop: World) -> None:
    answers = await together(*(subscribe(shop) for _ in range(2)))
    assert [a for a in answers if isinstance(a, BaseException)] == []
    assert len({answer["id"] for answer in answers}) == 1
    assert len({answer["client_secret"] for answer in answers}) == 1
    assert len(await at_stripe(shop)) == 1


async def test_eight_requests_for_two_plans_leave_one_that_can_be_paid(shop: World) -> None:
    await together(*(subscribe(shop, ("silver", "gold")[n % 2]) for n in range(8)))
    alive = [s for s in await at_stripe(shop) if s["status"] == "incomplete"]
    assert len(alive) <= 1
    made = await subscribe(shop, "gold")
    alive = [s for s in await at_stripe(shop) if s["status"] == "incomplete"]
    assert [s["id"] for s in alive] == [made["id"]]


async def test_another_plan_takes_the_place_of_one_that_was_not_paid(shop: World) -> None:
    first = await subscribe(shop, "silver")
    second = await subscribe(shop, "gold")
    found = {s["id"]: s["status"] for s in await at_stripe(shop)}
    assert found == {first["id"]: "canceled", second["id"]: "incomplete"}


async def test_a_paid_plan_refuses_a_second_of_its_group_and_names_itself(shop: World) -> None:
    paid = await subscribed(shop)
    for product in ("silver", "gold"):
        refused = await subscribe(shop, product, status=409)
        assert refused["subscription"] == paid["id"]
    other = await subscribed(shop, "backup")
    assert other["plans"][0]["group"] == "storage"
    assert len(await at_stripe(shop)) == 2


async def test_a_plan_that_has_ended_may_be_subscribed_to_again(shop: World) -> None:
    paid = await subscribed(shop)
    await shop.ask("DELETE", f"/stripe/subscriptions/{paid['id']}?now=true")
    again = await subscribed(shop)
    assert again["id"] != paid["id"]
    assert [row["closed_at"] is None for row in await shop.rows(
        "select closed_at from subscription_requests order by reserved_at"
    )] == [False, True]  # fmt: skip


async def test_a_plan_made_in_the_dashboard_is_mirrored_and_counts(shop: World) -> None:
    card: Json = {"payment_method": "pm_card_visa"}
    card["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = await shop.at_stripe("POST", "/v1/customers", **card)
    body = {"stripe_customer_id": customer["id"]}
    await shop.ask("PUT", "/customers/u-1", body, role="service")
    [price] = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[]=silver"))["data"]
    form: Json = {"customer": customer["id"], "items[0][price]": price["id"]}
    made = await shop.at_stripe("POST", "/v1/subscriptions", **form)
    await catch_up(shop)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert (seen["id"], seen["entitled"]) == (made["id"], True)
    assert (await subscribe(shop, "gold", status=409))["subscription"] == made["id"]

    second = await shop.at_stripe("POST", "/v1/subscriptions", **form)
    await catch_up(shop)
    await catch_up(shop)
    [told] = await shop.rows("select * from outbox where template = 'subscription_conflict'")
    assert (told["audience"], told["about"] in (made["id"], second["id"])) == ("admin", True)


async def test_a_key_that_comes_again_is_the_same_subscription(shop: World) -> None:
    headers = shop.bearer("u-1", email="u-1@example.com") | {"Idempotency-Key": "k"}
    path, body = "/api/v1/stripe/create-subscription", {"product_id": "silver"}
    first, again = [await shop.api.post(path, json=body, headers=headers) for _ in range(2)]
    assert (first.json(), again.status_code) == (again.json(), 200)
    other = await shop.api.post(path, json={"product_id": "gold"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def lose(world: World, **fault: Any) -> None:
    """Stripe carries creations out, and its answers are lost."""
    named = {"method": "POST", "path": "/v1/subscriptions", "when": "after", "times": 3, **fault}
    assert (await world.stripe.post("/_sandbox/faults", json=named)).status_code == 201


async def test_a_creation_that_was_answered_with_an_error_is_found(shop: World) -> None:
    await lose(shop, status=500)
    made = await subscribe(shop)
    assert [s["id"] for s in await at_stripe(shop)] == [made["id"]]


async def test_a_creation_whose_answer_was_lost_is_taken_up_by_the_next_request(
    shop: World,
) -> None:
    await lose(shop, cut=True)
    await subscribe(shop, status=502)
    [lost] = await at_stripe(shop)
    assert (await subscribe(shop))["id"] == lost["id"]
    assert len(await at_stripe(shop)) == 1


async def test_a_creation_whose_answer_was_lost_gives_way_to_another_plan(shop: World) -> None:
    await lose(shop, cut=True)
    await subscribe(shop, status=502)
    assert (await subscribe(shop, "gold", status=409))["code"] == "in_flight"
    shop.clock.ahead = timedelta(seconds=61)
    made = await subscribe(shop, "gold")
    found = {s["id"]: s["status"] for s in await at_stripe(shop)}
    assert found.pop(made["id"]) == "incomplete"
    assert list(found.values()) == ["canceled"]


async def test_a_day_later_nothing_is_sent_again_under_the_old_key(shop: World) -> None:
    await lose(shop, when="before", cut=True)
    await subscribe(shop, status=502)
    shop.clock.ahead = timedelta(hours=24)
    made = await subscribe(shop)
    assert [s["id"] for s in await at_stripe(shop)] == [made["id"]]
    rows = await shop.rows("select closed_at from subscription_requests order by reserved_at")
    assert [row["closed_at"] is None for row in rows] == [False, True]


async def test_a_trial_is_given_once_and_waits_for_a_card(shop: World) -> None:
    products = await shop.at_stripe("GET", "/v1/products?limit=100")
    [gold] = [p for p in products["data"] if p["name"] == "Gold"]
    days: Json = {"metadata[trial_days]": "14"}
    await shop.at_stripe("POST", f"/v1/products/{gold['id']}", **days)
    await catch_up(shop)
    made = await subscribe(shop, "gold")
    assert (made["status"], made["entitled"], made["confirms"]) == ("trialing", True, "setup")
    assert (await subscribe(shop, "gold"))["id"] == made["id"], "the form is opened again"
    await pay(shop, made)
    assert (await subscribe(shop, "gold", status=409))["subscription"] == made["id"]
    await shop.ask("DELETE", f"/stripe/subscriptions/{made['id']}?now=true")
    assert (await subscribe(shop, "gold"))["status"] == "incomplete"


async def test_only_a_service_grants_a_trial_or_subscribes_somebody_else(shop: World) -> None:
    await subscribe(shop, body={"trial_days": 30}, status=403)
    await subscribe(shop, body={"user_id": "u-2"}, status=403)
    given = {"trial_days": 30, "user_id": "u-2"}
    made = await subscribe(shop, body=given, user="shop", role="service")
    assert (made["status"], made["user_id"]) == ("trialing", "u-2")


async def test_what_cannot_be_subscribed_to_is_refused_and_changes_nothing(shop: World) -> None:
    for product, said in (("nothing", "nothing on sale"), ("menu_adult", "bought once")):
        assert said in (await subscribe(shop, product, status=422))["detail"]
    await subscribe(shop, body={"quantity": 0}, status=422)
    assert await at_stripe(shop) == []
    assert await shop.rows("select 1 from subscription_requests") == []


async def test_another_customers_subscription_is_not_there(shop: World) -> None:
    mine = await subscribed(shop)
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("POST", "/resume"), ("POST", "/pause"),
        ("POST", "/retry-payment"),
    ):  # fmt: skip
        await shop.ask(method, f"/stripe/subscriptions/{mine['id']}{path}", status=404, user="u-2")
    await shop.ask("GET", "/stripe/subscriptions/u-1", status=404, user="u-2")
    await shop.ask("DELETE", "/stripe/subscriptions/sub_nothing", status=404)
    assert (await at_stripe(shop))[0]["cancel_at_period_end"] is False
