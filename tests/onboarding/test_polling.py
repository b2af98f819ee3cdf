"""Without a webhook secret, Stripe's events are asked for: all of them, once, whatever happens."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from payments import worker
from payments.core.errors import StripeBusy
from payments.sync.poll import poll_once, pull_events
from world import World


async def stored(world: World) -> set[str]:
    rows = await world.rows("select id from stripe_events where type <> 'fetch'")
    return {row["id"] for row in rows}


async def made(world: World) -> set[str]:
    return {event["id"] for event in await world.events()}


async def test_a_payment_arrives_through_a_worker_that_polls(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking))
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(world.ctx, stop, poll_events=True))
    async with asyncio.timeout(10):
        while (await world.booking(booking))["state"] != "confirmed":  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.02)
    stop.set()
    await working


async def test_every_page_is_asked_for_and_twice_changes_nothing(world: World) -> None:
    for n in range(120):
        await world.at_stripe("POST", "/v1/customers", email=f"u{n}@example.com")
    events = await made(world)
    assert len(events) > 120
    long_ago = datetime.now(UTC) - timedelta(days=1)
    newest = await pull_events(world.ctx.sync, long_ago)
    assert await stored(world) == events
    assert datetime.now(UTC) - newest < timedelta(minutes=5)
    await pull_events(world.ctx.sync, long_ago)
    assert await stored(world) == events


async def test_a_poll_that_fails_halfway_is_made_good_by_the_next(world: World) -> None:
    await poll_once(world.ctx.sync)
    [before] = await world.rows("select reached_at from event_cursors")
    for n in range(120):
        await world.at_stripe("POST", "/v1/customers", email=f"u{n}@example.com")
    events = await made(world)
    await world.stripe.post(
        "/_sandbox/faults", json={"path": "/v1/events", "status": 429, "times": 3}
    )
    with pytest.raises(StripeBusy):
        await poll_once(world.ctx.sync)
    assert await world.rows("select reached_at from event_cursors") == [before]
    await poll_once(world.ctx.sync)
    assert await stored(world) == events


async def test_the_cursor_survives_a_restart_and_what_is_older_is_not_asked_for(
    world: World,
) -> None:
    world.clock.ahead = timedelta(minutes=10)
    await poll_once(world.ctx.sync)
    assert await stored(world) == set(), "older than the first look back"
    [cursor] = await world.rows("select reached_at from event_cursors")
    assert cursor["reached_at"] - datetime.now(UTC) > timedelta(minutes=4)

    await world.db.execute("update event_cursors set reached_at = $1", datetime.now(UTC))
    world.clock.ahead = timedelta(days=3)
    await world.at_stripe("POST", "/v1/customers", email="new@example.com")
    newest = (await world.events())[-1]
    await poll_once(world.ctx.sync)
    assert newest["id"] in await stored(world)


async def test_polling_waits_for_a_stripe_that_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.sync.poll.EVERY_SECONDS", 0.01)
    await world.stripe.post(
        "/_sandbox/faults", json={"path": "/v1/events", "status": 500, "times": 7}
    )
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(world.ctx, stop, poll_events=True))
    async with asyncio.timeout(10):
        while not await stored(world):  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.02)
    stop.set()
    await working
    assert await stored(world) == await made(world)
