"""The items about events of plans, and who is told of them."""

import orjson
import pytest
import stripe

from service.clocks import DECLINED, change_card, new_clock, on_clock, pass_
from service.plans import catch_up, shelve, subscribed
from world import SECRET, Json, World


@pytest.fixture(scope="module")
async def plans(shop: World) -> None:
    await shelve(shop)


async def test_1_12_a_renewal_that_fails_is_followed_and_its_customer_told(
    shop: World, plans: None
) -> None:
    clock = await new_clock(shop)
    plan = await on_clock(shop, clock)
    await change_card(shop, plan, DECLINED)
    await pass_(shop, clock, 32)
    seen = await shop.ask("GET", f"/stripe/subscriptions/{plan['id']}")
    assert (seen["status"], seen["entitled"]) == ("past_due", True)
    [failed] = await shop.rows(
        "select object_id, outcome from stripe_events where type = 'invoice.payment_failed'"
    )
    assert failed["outcome"] == "applied"
    [letter] = await shop.rows("select id, audience from outbox where template = 'renewal_failed'")
    assert tuple(letter) == (f"renewal_failed:{failed['object_id']}:1", "customer")


async def test_1_31_what_was_done_to_a_plan_and_became_of_it_stays_written_down(
    shop: World, plans: None
) -> None:
    plan = await subscribed(shop, user="u-131")
    await shop.ask("DELETE", f"/stripe/subscriptions/{plan['id']}?now=true", user="u-131")
    query = "select actor, act, at from audit_log where subject = $1 order by id desc limit 2"
    acts = await shop.rows(query, plan["id"])
    assert {(row["actor"], row["act"]) for row in acts} == {
        ("u-131", "subscription.cancel"), ("system", "subscription.recomputed"),
    }  # fmt: skip
    assert all(row["at"] is not None for row in acts)


async def test_4_11_the_documents_address_takes_the_end_of_a_plan(shop: World, plans: None) -> None:
    plan = await subscribed(shop, user="u-411")
    await shop.at_stripe("DELETE", f"/v1/subscriptions/{plan['id']}")
    [event] = [
        event
        for event in await shop.events(type="customer.subscription.deleted")
        if event["data"]["object"]["id"] == plan["id"]
    ]
    body = orjson.dumps(event)
    signed: Json = {
        "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
    }
    answer = await shop.api.post("/api/payments/webhook", content=body, headers=signed)
    assert answer.status_code == 200
    await shop.work()
    seen = await shop.ask("GET", f"/stripe/subscriptions/{plan['id']}", user="u-411")
    assert (seen["status"], seen["entitled"]) == ("canceled", False)
    await catch_up(shop)
