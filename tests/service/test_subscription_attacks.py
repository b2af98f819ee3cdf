"""Subscriptions under attack: lost answers, slow creations, two tabs, moved links, odd dates."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
import pytest_asyncio

from service.plans import GOLD, SILVER, catch_up, plan, shelve, subscribe, subscribed
from world import Json, World, together


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
    for user in ("u-1", "u-2"):
        await subscribe(shop, "silver", user=user)
        path, body = "/api/v1/stripe/create-subscription", {"product_id": "gold"}
        headers = shop.bearer(user)
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


async def test_a_page_waits_a_day_at_most_for_elements_whose_request_was_lost(shop: World) -> None:
    await fault(shop, method="POST", cut=True, times=3)
    await subscribe(shop, status=502)
    path, body = "/stripe/create-checkout-session", {"product_id": "silver"}
    assert (await shop.ask("POST", path, body, status=409))["code"] == "in_flight"
    shop.clock.ahead = timedelta(minutes=2)
    waits = await shop.ask("POST", path, body, status=409)
    assert "create-subscription" in waits["detail"]
    shop.clock.ahead = timedelta(hours=23, minutes=1)
    made = await shop.ask("POST", path, body)
    await shop.pay(made)
    await catch_up(shop)
    [seen] = (await shop.ask("GET", "/stripe/subscriptions/u-1"))["data"]
    assert seen["status"] == "active"


async def keyed(world: World, path: str, body: Json | None = None) -> httpx2.Response:
    headers = world.bearer() | {"Idempotency-Key": path}
    return await world.api.post(f"/api/v1/stripe/subscriptions/{path}", json=body, headers=headers)


@pytest.mark.parametrize(
    "fault_of", [{"when": "after", "status": 500}, {"when": "after", "cut": True}]
)
async def test_an_act_that_stripe_did_before_its_error_is_done_once(
    shop: World, fault_of: Json
) -> None:
    paid = (await subscribed(shop))["id"]
    for act, body, then in (
        ("change-plan", {"product_id": "gold"}, "active"),
        ("pause", None, "paused"),
        ("resume", None, "active"),
    ):
        await fault(shop, f"/v1/subscriptions/{paid}", method="POST", times=9, **fault_of)
        await keyed(shop, f"{paid}/{act}", body)
        await shop.stripe.delete("/_sandbox/faults")
        again = await keyed(shop, f"{paid}/{act}", body)
        assert (again.status_code, again.json()["status"]) == (200, then)
        assert again.json()["plans"][0]["lookup_key"] == "gold"
    invoiced = (await shop.at_stripe("GET", "/v1/invoices?limit=100"))["data"]
    assert [i["total"] for i in invoiced if i["total"]] == [GOLD - SILVER, SILVER]


async def test_an_error_that_did_nothing_is_not_the_last_word_of_its_key(shop: World) -> None:
    paid = (await subscribed(shop))["id"]
    path, body = f"{paid}/change-plan", {"product_id": "gold"}
    await fault(shop, f"/v1/subscriptions/{paid}", method="POST", status=500, times=9)
    assert (await keyed(shop, path, body)).status_code == 502
    await shop.stripe.delete("/_sandbox/faults")
    first = await shop.db.fetchval("select id from subscription_changes")
    assert (await keyed(shop, path, body)).status_code == 200
    assert await shop.db.fetchval("select count(*) from subscription_changes where id <> $1", first)


async def test_a_change_that_is_sent_again_after_its_preview_ran_out_is_the_same(
    shop: World,
) -> None:
    paid = (await subscribed(shop))["id"]
    body = {"product_id": "gold", "proration_date": int(shop.clock.now().timestamp())}
    assert (await keyed(shop, f"{paid}/change-plan", body)).status_code == 200
    shop.clock.ahead = timedelta(hours=2)
    assert (await keyed(shop, f"{paid}/change-plan", body)).status_code == 200


async def test_a_double_click_on_pausing_or_canceling_is_no_error(shop: World) -> None:
    paid = (await subscribed(shop))["id"]
    path = f"/api/v1/stripe/subscriptions/{paid}"
    for method, act in (("POST", "/pause"), ("POST", "/resume"), ("DELETE", "?now=true")):
        answers = await together(
            *(shop.api.request(method, path + act, headers=shop.bearer()) for _ in range(3))
        )
        assert {(a.status_code, a.json().get("code")) for a in answers} <= {
            (200, None), (409, "conflict"),
        }  # fmt: skip


async def test_a_plan_whose_product_is_not_known_yet_stays_in_its_group(shop: World) -> None:
    card: Json = {"payment_method": "pm_card_visa"}
    card["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = await shop.at_stripe("POST", "/v1/customers", **card)
    body = {"stripe_customer_id": customer["id"]}
    await shop.ask("PUT", "/customers/u-1", body, role="service")
    price = await plan(shop, "archive", 700, plan_group="storage")  # its events are on their way
    form: Json = {"customer": customer["id"], "items[0][price]": price["id"]}
    made = await shop.at_stripe("POST", "/v1/subscriptions", **form)
    path = f"/stripe/subscriptions/{made['id']}/change-plan"
    refused = await shop.ask("POST", path, {"product_id": "gold"}, status=422)
    assert "'storage'" in refused["detail"]
    changed = await shop.ask("POST", path, {"product_id": "backup"})
    assert changed["plans"][0]["lookup_key"] == "backup"


async def test_a_payment_that_is_tried_twice_at_once_is_made_once_and_nobody_is_told_it_failed(
    shop: World,
) -> None:
    made = await subscribe(shop)
    [customer] = (await shop.at_stripe("GET", "/v1/customers"))["data"]
    attach = "/v1/payment_methods/pm_card_visa/attach"
    card = (await shop.at_stripe("POST", attach, customer=customer["id"]))["id"]
    form: Json = {"default_payment_method": card}
    await shop.at_stripe("POST", f"/v1/subscriptions/{made['id']}", **form)
    path = f"/stripe/subscriptions/{made['id']}/retry-payment"
    answers = await together(*(shop.ask("POST", path) for _ in range(3)))
    assert {a["status"] for a in answers} == {"active"}
    paid = (await shop.at_stripe("GET", "/v1/payment_intents"))["data"]
    assert [intent["status"] for intent in paid] == ["succeeded"]

    await shop.ask("POST", f"/stripe/subscriptions/{made['id']}/pause")
    await shop.ask("POST", path, status=422)  # there is nothing to be paid
