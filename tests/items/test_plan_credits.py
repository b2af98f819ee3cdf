"""The items of S1, S2 and S4 that concern the credits of plans and their periods."""

from datetime import timedelta
from typing import Any

import pytest

from service.accounts import read
from service.members import START, Member, at, credit_plan
from service.plans import catch_up, pay, subscribe
from world import Json, World

DAY = 86_400
FEBRUARY, NEXT_JANUARY = START + 31 * DAY, START + 365 * DAY


@pytest.fixture(scope="module")
async def silver(shop: World) -> Json:
    """A monthly plan of 100 credits."""
    return await credit_plan(shop, feature_flags="export")


async def test_1_33_each_billing_cycle_brings_its_credits(shop: World, silver: Json) -> None:
    member = await Member.join(shop, user="u-133")
    await member.subscribe(silver)
    for renewals in range(3):
        granted = [amount for kind, amount in await member.ledger() if kind == "grant"]
        assert (granted, await member.balance()) == ([100] * (renewals + 1), 100)
        await member.go_on(days=32)


async def test_1_34_how_many_a_plan_brings_is_said_at_its_product(shop: World) -> None:
    member = await Member.join(shop, user="u-134")
    await member.subscribe(await credit_plan(shop, "gold", 5_000, credit_amount="700"))
    assert await member.balance() == 700


async def test_1_41_credits_and_a_subscription_are_tried_out_with_a_test_card(
    shop: World, silver: Json
) -> None:
    shop.clock.ahead = timedelta()  # no clock of the test's own at Stripe
    made = await subscribe(shop, user="u-141")
    assert (await read(shop, "u-141"))["balance"] == 0
    await pay(shop, made, "pm_card_visa")
    await catch_up(shop)
    found = await shop.ask("GET", "/financial/subscriptions/u-141/summary", user="u-141")
    assert (found["status"], found["entitlements"], found["credits"]) == ("active", ["export"], 100)


async def test_2_9_an_invoice_brings_credits_until_its_period_is_over(
    shop: World, silver: Json
) -> None:
    member = await Member.join(shop, user="u-209")
    made = await member.subscribe(silver)
    [invoice] = await member.invoices()
    account = await read(shop, "u-209")
    [entry], [lot] = account["data"], account["lots"]
    said: dict[str, Any] = {
        "invoice_id": invoice["id"],
        "subscription_id": made["id"],
        "billing_period": f"{START}-{FEBRUARY}",
    }
    assert entry["metadata"].items() >= said.items()
    assert lot["expires_at"] == at(FEBRUARY + 3 * DAY)


async def test_4_14_a_yearly_plan_is_paid_and_brings_its_credits_once_a_year(
    shop: World, silver: Json
) -> None:
    form: Json = {"product": silver["product"], "currency": "usd", "unit_amount": 20_000}
    form["recurring[interval]"] = "year"
    yearly = await shop.at_stripe("POST", "/v1/prices", **form)
    member = await Member.join(shop, user="u-414")
    await member.subscribe(yearly)
    await member.go_on(days=364)
    assert [amount for _, amount in await member.ledger()] == [100]
    [lot] = (await read(shop, "u-414"))["lots"]
    assert lot["expires_at"] == at(NEXT_JANUARY + 3 * DAY)
    await member.go_on(days=2)
    assert [amount for kind, amount in await member.ledger() if kind == "grant"] == [100, 100]
    assert await member.balance() == 100
