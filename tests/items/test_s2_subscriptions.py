"""The items of S2 that concern subscriptions; Stripe's events are what changes them here."""

import pytest

from service.plans import catch_up, shelve, subscribe, subscribed
from world import Json, World


@pytest.fixture(scope="module")
async def plans(shop: World) -> None:
    await shelve(shop)


async def mirrored(shop: World, of: Json) -> Json:
    [row] = await shop.rows("select * from stripe.subscriptions where id = $1", of["id"])
    return dict(row)


async def test_2_10_a_subscription_changed_at_stripe_is_changed_here(
    shop: World, plans: None
) -> None:
    paid = await subscribed(shop, user="u-210")
    [gold] = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[]=gold"))["data"]
    path = f"/v1/subscriptions/{paid['id']}"
    [item] = (await shop.at_stripe("GET", path))["items"]["data"]
    form: Json = {"items[0][id]": item["id"], "items[0][price]": gold["id"]}
    await shop.at_stripe("POST", path, **form, cancel_at_period_end="true")
    await catch_up(shop)
    seen = await shop.ask("GET", f"/stripe/subscriptions/{paid['id']}", user="u-210")
    assert seen["plans"][0]["tier"] == "gold"
    assert (seen["cancel_at_period_end"], seen["entitled"]) == (True, True)


async def test_2_11_a_subscription_ended_at_stripe_gives_nothing_here(
    shop: World, plans: None
) -> None:
    paid = await subscribed(shop, user="u-211")
    await shop.at_stripe("DELETE", f"/v1/subscriptions/{paid['id']}")
    [event] = await shop.events(type="customer.subscription.deleted")
    assert event["data"]["object"]["id"] == paid["id"]
    await catch_up(shop)
    assert (await mirrored(shop, paid))["status"] == "canceled"
    path = "/financial/subscriptions/u-211/summary"
    summary = await shop.ask("GET", path, user="u-211")
    assert (summary["entitled"], summary["entitlements"]) == (False, [])


async def test_2_14_a_new_subscription_waits_for_its_payment_with_a_client_secret(
    shop: World, plans: None
) -> None:
    made = await subscribe(shop, user="u-214")
    assert made["client_secret"].startswith("pi_")
    stripes = await shop.at_stripe("GET", f"/v1/subscriptions/{made['id']}")
    assert (stripes["status"], stripes["metadata"]["user_id"]) == ("incomplete", "u-214")
    row = await mirrored(shop, made)
    [item] = stripes["items"]["data"]
    assert row["status"] == "incomplete"
    assert row["current_period_start"].timestamp() == item["current_period_start"]
    assert row["current_period_end"].timestamp() == item["current_period_end"]
    kept = await shop.rows("select params::text as text from subscription_requests")
    assert not [row for row in kept if "secret" in row["text"]]


async def test_2_15_a_cancellation_is_stripes_and_ours_and_without_one_a_404(
    shop: World, plans: None
) -> None:
    paid = await subscribed(shop, user="u-215")
    path = f"/stripe/subscriptions/{paid['id']}"
    await shop.ask("DELETE", f"{path}?now=true", user="u-215")
    assert (await mirrored(shop, paid))["status"] == "canceled"
    stripes = await shop.at_stripe("GET", f"/v1/subscriptions/{paid['id']}")
    assert stripes["status"] == "canceled"
    await shop.ask("DELETE", "/stripe/subscriptions/sub_none", status=404, user="u-215")
    await shop.ask("DELETE", path, status=409, user="u-215")
