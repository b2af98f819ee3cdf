"""Without a webhook secret, Stripe's events are asked for: all of them, once, whatever happens."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from payments import worker
from payments.sync.catchup import catch_up
from payments.sync.throttle import Throttle
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


async def read(world: World) -> None:
    async for _ in catch_up(world.ctx.sync, Throttle(1000)):
        pass


async def test_the_cursor_survives_a_restart_and_what_is_older_is_not_asked_for(
    world: World,
) -> None:
    await world.db.execute("update installation set stamped_at = now() + interval '10 minutes'")
    world.clock.ahead = timedelta(minutes=10)
    await read(world)
    assert await stored(world) == set(), "from before this database met its account"

    await world.db.execute("update event_cursors set reached_at = $1", datetime.now(UTC))
    world.clock.ahead = timedelta(days=3)
    await world.at_stripe("POST", "/v1/customers", email="new@example.com")
    newest = (await world.events())[-1]
    await read(world)
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
