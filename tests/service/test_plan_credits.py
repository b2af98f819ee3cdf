"""Paid invoices bring the credits of what they bill, once, for as long as they last."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest_asyncio

from payments.core.telemetry import ALERTS
from service.accounts import ensure_sound, lines, read, spend
from service.members import START, Member, at, credit_plan
from service.plans import catch_up, plan
from world import Json, World

DAY = 86_400
FEBRUARY, MARCH = START + 31 * DAY, START + 59 * DAY
"""When the second and the third period of a plan begin that was begun at START."""


@pytest_asyncio.fixture(autouse=True)
async def sound(world: World) -> AsyncIterator[None]:
    yield
    await ensure_sound(world)


async def ends(world: World) -> list[tuple[int, str | None]]:
    """What the lots were granted, and when they end; in the order of their periods."""
    query = (
        "select granted, expires_at from credit_lots l join billed_lines b "
        "on l.source = 'invoice:' || b.invoice || ':' || b.id order by b.period_start, b.id"
    )
    return [
        (row["granted"], at(int(row["expires_at"].timestamp())) if row["expires_at"] else None)
        for row in await world.rows(query)
    ]


async def switch(world: World, plan: Json, price: Json, **form: Any) -> None:
    """Another price for the one item of a plan."""
    [item] = plan["items"]["data"]
    form |= {"items[0][id]": item["id"], "items[0][price]": price["id"]}
    await world.at_stripe("POST", f"/v1/subscriptions/{plan['id']}", **form)


async def test_a_paid_invoice_brings_the_plans_credits_with_what_they_came_from(
    world: World,
) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world))
    [invoice] = await member.invoices()
    [line] = invoice["lines"]["data"]
    found = await read(world)
    assert found["balance"] == 100
    [entry], [lot] = found["data"], found["lots"]
    assert entry["source"] == f"invoice:{invoice['id']}:{line['id']}"
    assert entry["metadata"] == {
        "invoice_id": invoice["id"],
        "subscription_id": made["id"],
        "billing_period": f"{START}-{FEBRUARY}",
        "payment_intent_id": await member.payment_of(invoice),
        "stripe_customer_id": member.customer,
        "amount_paid": 2_000,
    }
    assert lot["credit_type"] == "subscription"
    assert lot["expires_at"] == at(FEBRUARY + 3 * DAY)
    summary = await world.ask("GET", "/financial/subscriptions/u-1/summary")
    assert (summary["entitled"], summary["credits"]) == (True, 100)


async def test_however_its_events_come_a_line_counts_once(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world))
    await member.go_on(days=32)
    events = await world.events()
    for seed in range(3):
        await world.converge(Random(seed).sample(events, len(events)))
    granted = [amount for kind, amount in await lines(world) if kind == "grant"]
    assert granted == [100, 100]
    assert await member.balance() == 100


async def test_a_renewal_ends_what_was_left_of_the_last_period(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world))
    await spend(world, 30)
    await member.go_on(days=31, hear=False)
    await member.hear()
    assert await member.balance() == 70, "its renewal is a draft for an hour"
    await member.go_on(days=1)
    assert await member.ledger() == [
        ("grant", 100), ("spend", -30), ("expiry", -70), ("grant", 100),
    ]  # fmt: skip
    assert await ends(world) == [(100, at(FEBRUARY + 3_600)), (100, at(MARCH + 3 * DAY))]


async def test_a_renewal_that_is_paid_late_leaves_three_days_and_then_a_gap(world: World) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world))
    await member.use_card("pm_card_chargeCustomerFail")
    await member.go_on(days=33)
    assert await member.balance() == 100
    await member.go_on(days=2)
    assert await member.balance() == 0
    await member.use_card("pm_card_visa")
    path = f"/v1/subscriptions/{made['id']}"
    overdue = (await world.at_stripe("GET", path))["latest_invoice"]
    await world.at_stripe("POST", f"/v1/invoices/{overdue}/pay")
    await member.hear()
    assert await member.balance() == 100
    assert (await ends(world))[-1] == (100, at(MARCH + 3 * DAY))


async def test_a_renewal_paid_before_the_one_before_it_leaves_the_right_ends(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world), payment_behavior="allow_incomplete")
    await member.use_card("pm_card_chargeCustomerFail")
    await member.go_on(days=32)
    [february, _] = await member.invoices()
    assert february["status"] == "open"
    await member.use_card("pm_card_visa")
    path = f"/v1/invoices/{february['id']}"
    await world.at_stripe("POST", path, auto_advance="false")
    await member.go_on(days=28)
    assert [invoice["status"] for invoice in await member.invoices()] == ["paid", "open", "paid"]
    assert await member.balance() == 100
    await world.at_stripe("POST", f"{path}/pay")
    await member.hear()
    april = MARCH + 31 * DAY
    assert await ends(world) == [
        (100, at(FEBRUARY + 3 * DAY)), (100, at(MARCH + 3_600)), (100, at(april + 3 * DAY)),
    ]  # fmt: skip
    assert await member.balance() == 100, "what was paid for is over already"


async def test_a_trial_brings_nothing_and_its_end_the_first_credits(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world), trial_period_days=7)
    assert await member.ledger() == []
    await member.go_on(days=8)
    assert await member.ledger() == [("grant", 100)]


async def test_a_coupon_for_all_of_it_grants_and_there_is_nothing_to_give_back(
    world: World,
) -> None:
    member = await Member.join(world)
    coupon = await world.at_stripe("POST", "/v1/coupons", percent_off=100, duration="once")
    price = await credit_plan(world)
    await member.subscribe(price, **{"discounts[0][coupon]": coupon["id"]})
    [entry] = (await read(world))["data"]
    assert (entry["amount"], entry["metadata"]["amount_paid"]) == (100, 0)
    assert "payment_intent_id" not in entry["metadata"]


async def test_quantities_and_items_count_each_by_itself(world: World) -> None:
    member = await Member.join(world)
    team = await credit_plan(world, "team", 1_000, credit_amount="10")
    extra = await credit_plan(world, "extra", 500, credit_amount="7", credit_type="payg")
    nothing = await plan(world, "nothing", 900)
    form: Json = {"items[0][quantity]": 3}
    await member.subscribe(team, extra, nothing, **form)
    lots = (await read(world))["lots"]
    assert sorted((lot["remaining"], lot["credit_type"]) for lot in lots) == [
        (7, "payg"), (30, "subscription"),
    ]  # fmt: skip


async def test_a_better_plan_grants_from_the_next_period_on(world: World) -> None:
    member = await Member.join(world)
    silver = await credit_plan(world)
    gold = await credit_plan(world, "gold", 5_000, credit_amount="300")
    made = await member.subscribe(silver)
    await member.go_on(days=10)
    await switch(world, made, gold, proration_behavior="always_invoice")
    await member.hear()
    assert [invoice["status"] for invoice in await member.invoices()] == ["paid", "paid"]
    assert await member.balance() == 100
    await member.go_on(days=22)
    assert await member.balance() == 300


async def test_a_yearly_plan_is_a_period_of_a_year_and_begins_at_once(world: World) -> None:
    member = await Member.join(world)
    silver = await credit_plan(world)
    form: Json = {"product": silver["product"], "currency": "usd", "unit_amount": 20_000}
    form["recurring[interval]"] = "year"
    yearly = await world.at_stripe("POST", "/v1/prices", **form)
    made = await member.subscribe(silver)
    await member.go_on(days=10)
    await switch(world, made, yearly, proration_behavior="always_invoice")
    await member.hear()
    changed = START + 10 * DAY
    assert await ends(world) == [(100, at(changed)), (100, at(changed + 368 * DAY))]
    assert await member.balance() == 100


async def test_what_is_sold_later_for_more_changes_nothing_that_was_granted(world: World) -> None:
    member = await Member.join(world)
    silver = await credit_plan(world)
    plain = await plan(world, "plain", 700)
    await member.subscribe(silver)
    await member.subscribe(plain)
    more: Json = {"metadata[credit_amount]": "500"}
    for price in (silver, plain):
        await world.at_stripe("POST", f"/v1/products/{price['product']}", **more)
    await member.hear()
    await world.converge()
    assert await member.ledger() == [("grant", 100)]
    await member.go_on(days=32)
    granted = sorted(amount for kind, amount in await member.ledger() if kind == "grant")
    assert granted == [100, 500, 500]


async def test_a_product_nobody_has_heard_of_is_fetched_before_anything_is_granted(
    world: World,
) -> None:
    member = await Member.join(world)
    price = await credit_plan(world)
    await world.db.execute("delete from stripe.products where id = $1", price["product"])
    form: Json = {"customer": member.customer, "items[0][price]": price["id"]}
    await world.at_stripe("POST", "/v1/subscriptions", **form)
    [event] = await world.events(type="invoice.paid")
    await world.converge([event])
    assert await member.ledger() == [("grant", 100)]


async def test_a_number_that_cannot_be_read_is_told_and_waits_until_it_is_corrected(
    world: World,
) -> None:
    member = await Member.join(world)
    price = await credit_plan(world, credit_amount="many")
    alerts = ALERTS.labels(kind="credits_unsized")._value
    before = alerts.get()
    await member.subscribe(price)
    assert alerts.get() > before
    assert await member.ledger() == []
    right: Json = {"metadata[credit_amount]": "100"}
    await world.at_stripe("POST", f"/v1/products/{price['product']}", **right)
    await member.hear()
    assert await member.ledger() == [("grant", 100)]


async def test_more_lines_than_an_event_carries_are_all_counted(world: World) -> None:
    member = await Member.join(world)
    prices = [await credit_plan(world, f"part_{n}", 100, credit_amount="1") for n in range(12)]
    await member.subscribe(*prices)
    [invoice] = await member.invoices()
    assert (len(invoice["lines"]["data"]), invoice["lines"]["has_more"]) == (10, True)
    assert await member.balance() == 12
    mirrored = await world.rows("select jsonb_array_length(lines) as n from stripe.invoices")
    assert [row["n"] for row in mirrored] == [12]


async def test_what_is_given_back_takes_its_share_of_each_line(world: World) -> None:
    member = await Member.join(world)
    first = await credit_plan(world, "first", 1_000, credit_amount="100")
    second = await credit_plan(world, "second", 2_000, credit_amount="10")
    await member.subscribe(first, second)
    [invoice] = await member.invoices()
    for cents, left in ((1_000, 67 + 7), (999, 34 + 4), (1_001, 0)):
        await member.refund(invoice, amount=cents)
        assert await member.balance() == left


async def test_a_refund_that_fails_gives_back_what_it_took(world: World) -> None:
    member = await Member.join(world, card="pm_card_refundFail")
    await member.subscribe(await credit_plan(world))
    [invoice] = await member.invoices()
    await member.refund(invoice)
    assert await member.balance() == 0
    await world.settle()
    await member.hear()
    assert await member.balance() == 100


async def test_a_dispute_takes_the_credits_until_it_is_won(world: World) -> None:
    member = await Member.join(world, card="pm_card_createDispute")
    await member.subscribe(await credit_plan(world))
    await world.settle()
    await member.hear()
    assert await member.balance() == 0
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    form: Json = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
    await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    await world.settle()
    await member.hear()
    assert await member.balance() == 100


async def test_a_credit_note_takes_what_it_refunds(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world))
    [invoice] = await member.invoices()
    form: Json = {"invoice": invoice["id"], "amount": 500, "refund_amount": 500}
    await world.at_stripe("POST", "/v1/credit_notes", **form)
    await member.hear()
    assert await member.balance() == 75


async def test_an_invoice_paid_elsewhere_grants_and_brought_nothing_to_give_back(
    world: World,
) -> None:
    member = await Member.join(world)
    price = await credit_plan(world)
    await member.subscribe(price, collection_method="send_invoice", days_until_due=7)
    await member.go_on(days=1)
    [invoice] = await member.invoices()
    path = f"/v1/invoices/{invoice['id']}/pay"
    await world.at_stripe("POST", path, paid_out_of_band="true")
    await member.hear()
    [entry] = (await read(world))["data"]
    assert (entry["amount"], "payment_intent_id" in entry["metadata"]) == (100, False)


async def test_the_credits_of_a_stranger_wait_and_follow_what_happens_meanwhile(
    world: World,
) -> None:
    stranger = await Member.join(world, user=None)
    await stranger.subscribe(await credit_plan(world))
    [first] = await stranger.invoices()
    await stranger.refund(first, amount=500)
    await stranger.go_on(days=32)
    waiting = await world.rows("select credits, expires_at from waiting_grants order by since")
    assert [(row["credits"], row["expires_at"].timestamp()) for row in waiting] == [
        (75, FEBRUARY + 3_600), (100, MARCH + 3 * DAY),
    ]  # fmt: skip
    await stranger.link("u-9")
    await stranger.hear()
    assert await stranger.balance() == 100
    assert await world.rows("select from waiting_grants") == []
    [second, _] = await stranger.invoices()
    await stranger.refund(second, amount=1_000)
    await stranger.refund(first)
    assert await stranger.balance() == 50, "the first month's ran out unused"
    await stranger.go_on(days=28)
    assert await stranger.balance() == 100


async def test_an_item_that_is_billed_once_beside_the_plan_has_no_end(world: World) -> None:
    member = await Member.join(world)
    price = await credit_plan(world)
    path = "/v1/products"
    said: Json = {"metadata[credit_amount]": "40"}
    pack = await world.at_stripe("POST", path, name="A pack", **said)
    once: Json = {"product": pack["id"], "currency": "usd", "unit_amount": 400}
    extra = await world.at_stripe("POST", "/v1/prices", **once)
    await catch_up(world)
    await member.subscribe(price, **{"add_invoice_items[0][price]": extra["id"]})
    lots = (await read(world))["lots"]
    assert [(lot["remaining"], lot["credit_type"], lot["expires_at"]) for lot in lots] == [
        (100, "subscription", at(FEBRUARY + 3 * DAY)), (40, "payg", None),
    ]  # fmt: skip
