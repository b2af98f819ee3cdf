"""Changing a subscription over HTTP: cancel, resume, pause, another plan, a payment once more."""

from typing import Any

import pytest_asyncio

from service.plans import GOLD, SILVER, catch_up, shelve, subscribe, subscribed
from world import Json, World

DAY = 86_400


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


@pytest_asyncio.fixture
async def paid(shop: World) -> Json:
    return await subscribed(shop)


async def change(world: World, of: Json, act: str, body: Any = None, **more: Any) -> Json:
    return await world.ask("POST", f"/stripe/subscriptions/{of['id']}/{act}", body, **more)


async def now(world: World, of: Json) -> Json:
    return await world.ask("GET", f"/stripe/subscriptions/{of['id']}")


async def with_card(world: World, card: str = "pm_card_chargeCustomerFail") -> None:
    """The customer pays with another card from now on."""
    [customer] = (await world.at_stripe("GET", "/v1/customers"))["data"]
    path = f"/v1/payment_methods/{card}/attach"
    method = await world.at_stripe("POST", path, customer=customer["id"])
    for sub in (await world.at_stripe("GET", "/v1/subscriptions"))["data"]:
        form = {"default_payment_method": method["id"]}
        await world.at_stripe("POST", f"/v1/subscriptions/{sub['id']}", **form)


async def test_a_plan_is_canceled_at_the_end_of_its_period_and_may_be_taken_back(
    shop: World, paid: Json
) -> None:
    path = f"/stripe/subscriptions/{paid['id']}"
    ending = await shop.ask("DELETE", path)
    assert (ending["status"], ending["entitled"]) == ("active", True)
    assert ending["cancel_at_period_end"] is True
    back = await change(shop, paid, "resume")
    assert (back["cancel_at_period_end"], back["cancel_at"]) == (False, None)
    assert "nothing is to be resumed" in (await change(shop, paid, "resume", status=409))["detail"]

    gone = await shop.ask("DELETE", f"{path}?now=true")
    assert (gone["status"], gone["entitled"]) == ("canceled", False)
    await shop.ask("DELETE", path, status=409)
    query = "select act from audit_log where subject = $1 and role = 'user' order by id"
    acts = await shop.rows(query, paid["id"])
    assert [row["act"] for row in acts] == [
        "subscription.update", "subscription.update", "subscription.cancel",
    ]  # fmt: skip


async def test_a_cancellation_that_is_sent_twice_is_one(shop: World, paid: Json) -> None:
    headers = shop.bearer("u-1") | {"Idempotency-Key": "k"}
    path = f"/api/v1/stripe/subscriptions/{paid['id']}"
    answers = [await shop.api.delete(path, headers=headers) for _ in range(2)]
    assert [answer.json()["cancel_at_period_end"] for answer in answers] == [True, True]
    assert await shop.db.fetchval("select count(*) from subscription_changes") == 1
    other = await shop.api.post(f"{path}/resume", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_one_that_was_never_paid_is_canceled_at_once(shop: World) -> None:
    made = await subscribe(shop)
    gone = await shop.ask("DELETE", f"/stripe/subscriptions/{made['id']}")
    assert gone["status"] == "canceled"
    assert (await subscribe(shop))["id"] != made["id"]


async def test_a_paused_plan_gives_nothing_until_it_is_resumed(shop: World, paid: Json) -> None:
    paused = await change(shop, paid, "pause")
    assert (paused["status"], paused["entitled"]) == ("paused", False)
    assert (await subscribe(shop, "gold", status=409))["subscription"] == paid["id"]
    await change(shop, paid, "pause", status=409)
    resumed = await change(shop, paid, "resume")
    assert (resumed["status"], resumed["entitled"]) == ("active", True)


async def test_a_change_of_plan_costs_what_its_preview_said(shop: World, paid: Json) -> None:
    shown = await change(shop, paid, "change-plan", {"product_id": "gold", "preview": True})
    assert shown["object"] == "plan_preview"
    assert 0 < shown["amount_cents"] <= GOLD - SILVER
    assert (await now(shop, paid))["plans"][0]["lookup_key"] == "silver"

    body = {"product_id": "gold", "proration_date": shown["proration_date"]}
    changed = await change(shop, paid, "change-plan", body)
    assert changed["plans"][0]["lookup_key"] == "gold"
    newest = (await shop.at_stripe("GET", "/v1/invoices"))["data"][0]
    assert (newest["status"], newest["amount_paid"]) == ("paid", shown["amount_due_cents"])
    assert "already" in (await change(shop, paid, "change-plan", body, status=409))["detail"]


async def test_what_cannot_be_changed_to_is_refused(shop: World, paid: Json) -> None:
    for body, status, said in (
        ({"product_id": "backup"}, 422, "plan group 'storage'"),
        ({"product_id": "nothing"}, 422, "nothing on sale"),
        ({"product_id": "gold", "proration_date": 1_700_000_000}, 422, "out of date"),
        ({"product_id": "silver"}, 409, "already"),
    ):
        refused = await change(shop, paid, "change-plan", body, status=status)
        assert said in refused["detail"]
    assert (await now(shop, paid))["plans"] == paid["plans"]


async def test_a_change_that_is_not_paid_changes_nothing(shop: World, paid: Json) -> None:
    await with_card(shop)
    body = {"product_id": "gold"}
    refused = await change(shop, paid, "change-plan", body, status=402)
    assert refused["code"] == "card_declined"
    assert (await now(shop, paid))["plans"] == paid["plans"]


async def test_an_overdue_payment_keeps_access_and_is_tried_again(shop: World) -> None:
    clock = await shop.at_stripe("POST", "/v1/test_helpers/test_clocks", frozen_time=1_800_000_000)
    card: Json = {"payment_method": "pm_card_visa", "test_clock": clock["id"]}
    card["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = await shop.at_stripe("POST", "/v1/customers", **card)
    body = {"stripe_customer_id": customer["id"]}
    await shop.ask("PUT", "/customers/u-1", body, role="service")
    paid = await subscribed(shop)
    assert "nothing is overdue" in (await change(shop, paid, "retry-payment", status=409))["detail"]

    method = "pm_card_chargeCustomerFail"
    path = f"/v1/payment_methods/{method}/attach"
    broken = await shop.at_stripe("POST", path, customer=customer["id"])
    at_stripe = f"/v1/subscriptions/{paid['id']}"
    await shop.at_stripe("POST", at_stripe, default_payment_method=broken["id"])
    advance = f"/v1/test_helpers/test_clocks/{clock['id']}/advance"
    await shop.at_stripe("POST", advance, frozen_time=1_800_000_000 + 32 * DAY)
    await shop.settle()
    await catch_up(shop)
    late = await now(shop, paid)
    assert (late["status"], late["entitled"]) == ("past_due", True)

    assert (await change(shop, paid, "retry-payment", status=402))["code"] == "card_declined"
    await shop.at_stripe("POST", at_stripe, default_payment_method="")
    recovered = await change(shop, paid, "retry-payment")
    assert (recovered["status"], recovered["entitled"]) == ("active", True)


async def test_a_summary_says_what_one_has_and_what_is_charged_next(
    shop: World, paid: Json
) -> None:
    path = "/financial/subscriptions/u-1/summary"
    await subscribed(shop, "backup")
    seen = await shop.ask("GET", path)
    assert (seen["entitled"], seen["entitlements"]) == (True, ["ai_generation", "backup", "export"])
    assert len(seen["subscriptions"]) == 2
    await shop.ask("DELETE", f"/stripe/subscriptions/{seen['subscriptions'][0]['id']}?now=true")
    seen = await shop.ask("GET", path)
    [left] = seen["subscriptions"]
    assert seen["plan"] == left["plans"][0]
    assert seen["period"] == {"start": left["current_period_start"],
                              "end": left["current_period_end"]}  # fmt: skip
    assert seen["next_invoice"]["amount_cents"] == left["plans"][0]["unit_amount"]
    assert seen["next_invoice"]["at"] is not None

    await shop.ask("DELETE", f"/stripe/subscriptions/{left['id']}")
    assert (await shop.ask("GET", path))["next_invoice"] is None
    await shop.ask("GET", path, status=404, user="u-2")
    nothing = await shop.ask("GET", "/financial/subscriptions/u-2/summary", user="u-2")
    assert (nothing["entitled"], nothing["plan"], nothing["subscriptions"]) == (False, None, [])
