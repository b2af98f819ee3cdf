"""Timelines of plans and credits: what was begun, billed, changed and ended, and why it is so."""

from datetime import datetime

import pytest

from service.accounts import PACK, sell, spend
from service.clocks import DECLINED, change_card, new_clock, on_clock, pass_
from service.plans import catch_up, shelve, subscribed
from service.test_timeline import ADMIN, texts, timeline
from world import Json, World


@pytest.fixture
async def plan(world: World) -> Json:
    await shelve(world)
    return await subscribed(world)


def until(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M} UTC"


async def test_a_plan_tells_what_it_was_and_what_it_became(world: World, plan: Json) -> None:
    body = {"product_id": "gold"}
    await world.ask("POST", f"/stripe/subscriptions/{plan['id']}/change-plan", body)
    await catch_up(world)
    for suffix in ("", "?now=true"):
        await world.ask("DELETE", f"/stripe/subscriptions/{plan['id']}{suffix}")
        await catch_up(world)
    found = await timeline(world, plan["id"])
    effects = texts(found, "effect")
    assert effects[0] == "the subscription is incomplete"
    assert effects[1:] == [
        "the subscription was incomplete, and is active",
        "the subscription changed from Silver to Gold",
        "the subscription is to end with its period",
        "the subscription was active, and is canceled (cancellation_requested)",
    ]
    assert texts(found, "subscription") == ["a subscription to Gold was made; it is canceled"]
    acts = [text for text in texts(found, "act") if text.endswith("by user u-1")]
    assert [text.partition(" by ")[0] for text in acts][-3:] == [
        "subscription.update", "subscription.update", "subscription.cancel",
    ]  # fmt: skip
    assert found["explanation"].startswith(f"{plan['id']} is canceled: it ended at ")
    assert found["explanation"].endswith("(cancellation_requested).")


async def test_what_is_heard_again_is_no_second_history(world: World, plan: Json) -> None:
    before = texts(await timeline(world, plan["id"]), "effect", "credits", "subscription")
    await world.converge((await world.events())[::-1])
    after = texts(await timeline(world, plan["id"]), "effect", "credits", "subscription")
    assert before == after != []


async def test_invoices_and_what_paid_them_are_told_with_their_plan(
    world: World, plan: Json
) -> None:
    found = await timeline(world, plan["id"])
    [invoice] = [entry for entry in found["data"] if entry["kind"] == "invoice"]
    assert invoice["text"] == "an invoice over $29.99 was made (subscription_create); it is paid"
    assert texts(found, "payment") == [f"a payment of $29.99 was begun for {invoice['id']}"]
    period = until(plan["current_period_end"])
    assert found["explanation"] == f"{plan['id']} is active: it runs until {period}."
    [payment] = found["payments"]
    assert payment["explanation"] == "$29.99 were received."
    for id in (invoice["id"], payment["id"]):
        assert invoice["text"] in texts(await timeline(world, id), "invoice")


async def test_a_renewal_that_failed_is_told_with_its_next_attempt(world: World) -> None:
    await shelve(world)
    clock = await new_clock(world)
    plan = await on_clock(world, clock)
    await change_card(world, plan, DECLINED)
    await pass_(world, clock, 32)
    found = await timeline(world, plan["id"])
    assert found["explanation"] == (
        f"{plan['id']} is past_due: a payment for it failed, and Stripe tries again."
    )
    assert (
        "open: attempt 1 to collect it failed, and is tried again at"
        in (texts(found, "invoice")[-1])
    )
    [told] = texts(found, "message")
    assert told.startswith("renewal_failed to u***@example.com: logged at")


async def test_a_plan_is_its_owners_and_without_particulars(world: World, plan: Json) -> None:
    found = await timeline(world, plan["id"], user="u-1")
    assert texts(found, "subscription") == ["a subscription to Silver was made; it is active"]
    assert not texts(found, "call", "act")
    assert all(entry["facts"] == {} for entry in found["data"])
    [invoice] = [entry["id"] for entry in found["data"] if entry["kind"] == "invoice"]
    for id in (plan["id"], invoice):
        await world.ask("GET", f"/stripe/payments/{id}/timeline", status=404, user="u-2")
    await world.ask("GET", "/stripe/payments/sub_none/timeline", status=404, **ADMIN)


async def test_credits_are_told_with_the_payment_that_bought_them(world: World) -> None:
    await sell(world, PACK)
    body = {"product_id": PACK.key}
    intent = await world.ask("POST", "/stripe/create-payment-intent", body)
    await world.confirm(intent)
    await world.converge()
    await spend(world, 40, reason="a picture")
    await world.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"])
    await world.converge()
    for who in (ADMIN, {"user": "u-1"}):
        assert texts(await timeline(world, intent["id"], **who), "credits") == [
            "100 credits were granted; 100 are left",
            "40 credits were spent: a picture; 60 are left",
            "60 credits were clawed back; 0 are left",
            "40 credits became a debt; 40 are owed",
        ]
