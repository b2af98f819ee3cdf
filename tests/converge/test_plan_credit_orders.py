"""A plan's months, refunds and changes bring the same credits, in whatever order two workers hear
of them, and however late its customer is known and effects are resumed.
"""

import asyncio
from random import Random

import pytest

from payments.sync import arrears, process
from payments.sync.throttle import Throttle
from service.accounts import ensure_sound, read, tend
from service.members import START, Member, at, credit_plan
from service.plans import catch_up
from world import Json, World

DAY = 86_400


async def live(member: Member, price: Json) -> list[Json]:
    """Two months of two seats, each refunded in part, then one seat; returns what Stripe tells."""
    world = member.world
    known = {event["id"] for event in await world.events()}
    form: Json = {"customer": member.customer, "items[0][price]": price["id"]}
    plan = await world.at_stripe("POST", "/v1/subscriptions", **form, **{"items[0][quantity]": 2})
    await member.go_on(days=32, hear=False)
    second, first = await member.invoices()
    for invoice, amount in ((first, 1_000), (second, 400), (second, 600)):
        intent = await member.payment_of(invoice)
        await world.at_stripe("POST", "/v1/refunds", payment_intent=intent, amount=amount)
    [item] = plan["items"]["data"]
    form = {"items[0][id]": item["id"], "items[0][quantity]": 1}
    form["proration_behavior"] = "always_invoice"
    await world.at_stripe("POST", f"/v1/subscriptions/{plan['id']}", **form)
    return [event for event in await world.events() if event["id"] not in known]


async def work(world: World) -> None:
    """Two workers, at the same time."""

    async def one() -> None:
        throttle = Throttle(1000)
        while await process.drain_payloads(world.ctx.sync) + await process.drain_fetches(
            world.ctx.sync, throttle
        ):
            pass

    await asyncio.gather(one(), one())


async def switch(world: World, *, paused: bool) -> None:
    await world.ask("PUT", "/stripe/switches/effects", {"paused": paused}, role="admin")


@pytest.mark.parametrize("seed", range(3))
async def test_credits_are_the_same_whatever_is_heard_first(world: World, seed: int) -> None:
    random = Random(seed)
    price = await credit_plan(world)
    member = await Member.join(world, user=None)
    await catch_up(world)
    events = await live(member, price)
    random.shuffle(events)
    linked = random.randrange(len(events))
    await switch(world, paused=seed == 0)
    for place, event in enumerate(events):
        assert (await world.deliver(event)).status_code == 200
        if place == linked:
            await member.link("u-1")
        if random.random() < 0.3:
            await work(world)
    await work(world)
    await switch(world, paused=False)
    await arrears.make_up(world.ctx)
    await tend(world)
    await ensure_sound(world)

    [first, second] = await world.rows(
        "select l.target, l.expires_at from credit_lots l join billed_lines b "
        "on l.source = 'invoice:' || b.invoice || ':' || b.id order by b.period_start"
    )
    assert (first["target"], first["expires_at"].timestamp()) == (150, START + 31 * DAY + 3_600)
    # Of the second month a quarter was refunded, and a seat given back with 27 of 28 days to go.
    assert second["target"] == 200 - int(200 * (1_000 + 1_000 * 2 * 27 / 28) / 4_000)
    account = await read(world)
    assert (account["balance"], account["debt"]) == (second["target"], 0)
    assert [lot["expires_at"] for lot in account["lots"]] == [at(START + 62 * DAY)]
