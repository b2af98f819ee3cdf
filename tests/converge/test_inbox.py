"""The inbox loses nothing: poison is set apart, leases end, a wish made during a fetch counts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from converge.observing import (
    connect,
    intent_at_stripe,
    paid_at_stripe,
    priced_booking,
    resource,
    row,
)
from payments.sync import inbox, process
from payments.sync.throttle import Throttle
from world import Database, Json, World, open_world, together

CLAIMED = [field.name for field in fields(inbox.Claimed)]


async def poisoned(world: World) -> Json:
    """An event that can be stored but never be applied: its object has no amount."""
    intent = await intent_at_stripe(world, await priced_booking(world))
    event = (await world.events(type="payment_intent.created"))[-1]
    broken = {name: value for name, value in intent.items() if name != "amount"}
    return event | {"id": "evt_poisoned", "data": {"object": broken | {"id": "pi_poisoned"}}}


async def stored(world: World, id: str) -> Any:
    return await world.db.fetchrow("select * from stripe_events where id = $1", id)


async def age(world: World, id: str, by: timedelta) -> None:
    """Let time pass for one row: it came earlier, and its backoff is over."""
    await world.db.execute(
        "update stripe_events set received_at = received_at - $2::interval, "
        "not_before = least(not_before, now()) where id = $1",
        id,
        by,
    )


async def fetch(world: World, kind: str, id: str) -> None:
    async with world.ctx.db.transaction() as tx:
        await inbox.request_fetches(tx, [(resource(world, kind), id)])


async def claim(world: World) -> list[inbox.Claimed]:
    """What a worker does first in the fetch lane: claim and lease."""
    async with world.ctx.db.transaction() as tx:
        claimed = await inbox.claim(tx, lane=1, limit=20)
        await inbox.lease(tx, claimed)
    return claimed


def dead_alerts() -> float:
    return REGISTRY.get_sample_value("payments_alerts_total", {"kind": "dead_event"}) or 0


# -- poison


async def test_a_poisoned_event_is_postponed_alone_and_the_others_of_its_batch_apply(
    world: World,
) -> None:
    bookings = [await priced_booking(world) for _ in range(3)]
    for booking in bookings:
        await paid_at_stripe(world, booking)
    good = await world.events(type="payment_intent.succeeded")
    for event in [good[0], await poisoned(world), *good[1:]]:
        assert (await world.deliver(event)).status_code == 200
    await world.work()
    assert [(await world.booking(b))["paid_cents"] for b in bookings] == [10_000] * 3
    left = await stored(world, "evt_poisoned")
    assert (left["attempts"], left["outcome"]) == (1, None)
    assert left["not_before"] > left["received_at"]
    assert "amount" in left["error"]


async def test_a_poisoned_event_comes_back_later_each_time(world: World) -> None:
    await world.deliver(await poisoned(world))
    waits = []
    for _ in range(4):
        await world.work()
        left = "select extract(epoch from not_before - now()) from stripe_events where id = $1"
        waits.append(round(float(await world.db.fetchval(left, "evt_poisoned"))))
        await age(world, "evt_poisoned", timedelta(minutes=1))
    assert waits == [2, 4, 8, 16]


async def test_a_poisoned_event_is_dead_after_12_attempts_and_72_hours_and_kept_with_an_alert(
    world: World,
) -> None:
    await world.deliver(await poisoned(world))
    alerts = dead_alerts()
    for attempt in range(1, 13):
        await world.work()
        left = await stored(world, "evt_poisoned")
        assert (left["attempts"], left["outcome"]) == (attempt, None), "72 h have not passed"
        await age(world, "evt_poisoned", timedelta(hours=5))
    await age(world, "evt_poisoned", timedelta(hours=13))
    await world.work()
    dead = await stored(world, "evt_poisoned")
    assert (dead["outcome"], dead["not_before"], dead["done_at"]) == ("dead", None, None)
    assert dead["body"]
    assert dead_alerts() == alerts + 1


async def test_an_old_event_is_not_dead_before_12_attempts(world: World) -> None:
    await world.deliver(await poisoned(world))
    await age(world, "evt_poisoned", timedelta(days=30))
    for attempt in range(1, 12):
        await world.work()
        left = await stored(world, "evt_poisoned")
        assert (left["attempts"], left["outcome"]) == (attempt, None)
        await age(world, "evt_poisoned", timedelta())


async def test_a_new_wish_for_an_object_once_fetched_has_72_hours_of_its_own(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Old friend")
    await fetch(world, "product", product["id"])
    await world.work()
    id = f"fetch:product:{product['id']}"
    await age(world, id, timedelta(days=30))
    await fetch(world, "product", product["id"])
    for _ in range(12):
        waiting = await stored(world, id)
        claimed = inbox.Claimed(**{name: waiting[name] for name in CLAIMED})
        async with world.ctx.db.transaction() as tx:
            await inbox.postpone(tx, claimed, RuntimeError("no"), own_fault=True)
    left = await stored(world, id)
    assert (left["attempts"], left["outcome"]) == (12, None)


# -- the network is no fault of an event's own


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"cut": True}])
async def test_a_stripe_that_fails_costs_an_event_no_attempt(
    world: World, fault: dict[str, Any]
) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Lamp")
    await world.deliver((await world.events(type="product.created"))[-1])
    broken = {"path": f"/v1/products/{product['id']}", "times": 9, **fault}
    answer = await world.stripe.post("/_sandbox/faults", json=broken)
    assert answer.status_code == 201
    await world.work()
    waiting = "select * from stripe_events where object_id = $1"
    left = await world.db.fetchrow(waiting, product["id"])
    assert (left["attempts"], left["outcome"]) == (0, None)
    assert left["not_before"] is not None
    await world.stripe.delete("/_sandbox/faults")
    await age(world, left["id"], timedelta(minutes=1))
    await world.work()
    assert (await row(world, product))["name"] == "Lamp"


# -- leases and generations


async def test_a_leased_row_is_left_alone_until_its_lease_ends(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Lamp")
    await fetch(world, "product", product["id"])
    assert len(await claim(world)) == 1
    await world.work()
    assert await row(world, product) is None
    await age(world, f"fetch:product:{product['id']}", timedelta(minutes=2))
    await world.work()
    assert (await row(world, product))["name"] == "Lamp"


async def test_a_wish_made_while_its_fetch_runs_is_fetched_again(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Before")
    await fetch(world, "product", product["id"])
    running = await claim(world)
    await fetch(world, "product", product["id"])
    async with world.ctx.db.transaction() as tx:
        await inbox.finish(tx, running)
    left = await stored(world, f"fetch:product:{product['id']}")
    assert (left["not_before"] is not None, left["done_at"]) == (True, None)
    await world.work()
    assert (await row(world, product))["name"] == "Before"


async def test_a_fetch_that_fails_does_not_put_off_a_wish_made_meanwhile(world: World) -> None:
    await fetch(world, "product", "prod_1")
    (running,) = await claim(world)
    await fetch(world, "product", "prod_1")
    async with world.ctx.db.transaction() as tx:
        await inbox.postpone(tx, running, RuntimeError("no"), own_fault=True)
    left = await stored(world, "fetch:product:prod_1")
    assert (left["attempts"], left["error"]) == (0, None)
    assert await claim(world)


async def test_a_worker_that_lost_its_lease_cannot_bring_back_what_another_finished(
    world: World,
) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Lamp")
    await fetch(world, "product", product["id"])
    (slow,) = await claim(world)
    await age(world, slow.id, timedelta(minutes=2))
    await world.work()
    async with world.ctx.db.transaction() as tx:
        await inbox.postpone(tx, slow, RuntimeError("too late"), own_fault=True)
    left = await stored(world, slow.id)
    assert (left["outcome"], left["not_before"]) == ("applied", None)


async def test_rows_of_one_object_share_one_fetch(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="1")
    for name in "234":
        await world.at_stripe("POST", f"/v1/products/{product['id']}", name=name)
    for event in await world.events():
        if event["data"]["object"]["id"] == product["id"]:
            await world.deliver(event)
    before = await world.db.fetchval("select last_value from stripe.ticket")
    assert await process.drain_fetches(world.ctx.sync, Throttle(1000)) == 4
    assert await world.db.fetchval("select last_value from stripe.ticket") == before + 1
    assert (await row(world, product))["name"] == "4"


async def test_a_row_that_another_worker_holds_is_skipped(world: World) -> None:
    await paid_at_stripe(world, await priced_booking(world))
    await world.deliver((await world.events(type="payment_intent.succeeded"))[-1])
    other = await connect(world)
    try:
        async with other.transaction():
            await other.execute("select from stripe_events for update")
            assert await process.drain_payloads(world.ctx.sync) == 0
    finally:
        await other.close()
    assert await process.drain_payloads(world.ctx.sync) == 1


# -- a database that takes nobody in


@pytest.fixture
async def guarded(database: Database) -> AsyncIterator[World]:
    """The service under a role of its own, which can be shut out."""
    await database.empty()
    await database.connection.execute("create role guest superuser login")
    try:
        url = database.url.replace("postgres@", "guest@")
        async with open_world(url, catalogue=False, log_level="error") as opened:
            yield opened
    finally:
        await _shut(database, out=True)
        await database.connection.execute("drop role guest")


async def _shut(database: Database, *, out: bool) -> None:
    await database.connection.execute(f"alter role guest {'nologin' if out else 'login'}")
    await database.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guest'"
    )


async def test_deliveries_to_a_database_that_refuses_connections_are_asked_for_again(
    guarded: World, database: Database
) -> None:
    await guarded.at_stripe("POST", "/v1/products", name="Lamp")
    event = (await guarded.events())[-1]
    await _shut(database, out=True)
    async with asyncio.timeout(20):
        answers = await together(*(guarded.deliver(event | {"id": f"evt_{n}"}) for n in range(3)))
    assert [getattr(answer, "status_code", answer) for answer in answers] == [503] * 3
    await _shut(database, out=False)
    assert (await guarded.deliver(event)).status_code == 200
