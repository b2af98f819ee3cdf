"""Catch-up: Stripe's list of its events makes good whatever was not delivered."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from converge.observing import FORM, paid_at_stripe, priced_booking, refund_at_stripe
from converge.oracle import differences, expected_booking
from core.test_cli import run
from payments import worker
from payments.core.errors import StripeFailed
from payments.sync.account import WrongAccount
from payments.sync.catchup import Page, catch_up, chores, read_undelivered
from payments.sync.throttle import Throttle
from service.variants import listening
from stripe_sandbox.engine.work import NOTE
from world import API, KEY, SECRET, Json, World

SUM: Json = {**FORM, "amount": 1_000}


async def read(world: World, **how: Any) -> list[Page]:
    return [page async for page in catch_up(world.ctx.sync, Throttle(1000), **how)]


async def stored(world: World) -> set[str]:
    rows = await world.rows("select id from stripe_events where id like 'evt%'")
    return {row["id"] for row in rows}


async def followed(world: World) -> set[str]:
    by_event = world.ctx.sync.registry.by_event
    return {event["id"] for event in await world.events() if event["type"] in by_event}


async def set_cursor(world: World, *, ago: timedelta) -> datetime:
    reached = datetime.now(UTC) - ago
    await world.db.execute("delete from event_cursors")
    await world.db.execute("insert into event_cursors values ('events', $1)", reached)
    return reached


async def cursor(world: World) -> datetime:
    found: datetime = await world.db.fetchval("select reached_at from event_cursors")
    return found


async def event_of(world: World, *, ago: timedelta) -> str:
    """An event that was made a while ago and never delivered."""
    await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    id: str = (await world.events())[-1]["id"]
    created = int((datetime.now(UTC) - ago).timestamp())
    world.sandbox.sandbox.state.change("event", id, created=created)
    return id


async def stripe_fails(world: World, **fault: Any) -> None:
    await world.stripe.post("/_sandbox/faults", json={"path": "/v1/events", **fault})


@pytest_asyncio.fixture
async def posted(world: World) -> AsyncIterator[World]:
    """Stripe posts to the service, and one post in five is never sent."""
    sandbox = world.sandbox.sandbox
    sandbox.courier._given = world.api
    form: Json = {"url": f"{API}/api/v1/stripe/webhook", "enabled_events[0]": "*"}
    made = await world.at_stripe("POST", "/v1/webhook_endpoints", **form)
    sandbox.state.change(NOTE, made["id"], secret=SECRET)
    await world.stripe.post("/_sandbox/chaos", json={"seed": 3, "drop": 0.2})
    yield world
    await sandbox.courier.drained()


async def test_with_a_fifth_of_all_deliveries_dropped_catch_up_alone_reaches_what_stripe_has(
    posted: World,
) -> None:
    world = posted
    bookings = [await priced_booking(world) for _ in range(9)]
    for number, booking in enumerate(bookings):
        card = ("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail")[number % 3]
        await refund_at_stripe(world, await paid_at_stripe(world, booking, card), amount=2_500)
    await world.settle()
    await world.sandbox.sandbox.courier.drained()
    await world.work()
    dropped = await followed(world) - await stored(world)
    assert await unequal(world, bookings) != []

    pages = await read(world)
    await world.work()

    assert sum(page.new for page in pages) == len(dropped) > 5
    assert await unequal(world, bookings) == []
    assert {page.new for page in await read(world)} == {0}


async def unequal(world: World, bookings: list[Json]) -> list[str]:
    """Where the service says something else than follows from Stripe's objects."""
    state, registry = world.sandbox.sandbox.state, world.ctx.sync.registry
    stripe = {r.name: list(state.rows(r.name).values()) for r in registry.resources}
    announced = [o["id"] for name in ("payment_intent", "refund") for o in stripe[name]]
    found = await differences(world.db, registry, stripe, announced)
    for booking in bookings:
        wanted = expected_booking(booking, stripe, total=44_000, deposit=10_000)
        shown = await world.booking(booking)
        if {name: shown[name] for name in wanted} != wanted:
            found.append(f"{booking['id']} says {shown}, not {wanted}")
    return found


async def test_a_long_gap_is_read_day_by_day_and_goes_on_where_it_was_cut_short(
    world: World,
) -> None:
    days = [await event_of(world, ago=timedelta(days=n, hours=-1)) for n in (4, 3, 2, 1)]
    began = await set_cursor(world, ago=timedelta(days=4))
    pages = catch_up(world.ctx.sync, Throttle(1000))
    await anext(pages)
    await anext(pages)
    await pages.aclose()
    assert await stored(world) == set(days[:2])
    assert began < await cursor(world) <= began + timedelta(days=1), "the second day is not over"

    await stripe_fails(world, status=500, times=3)
    with pytest.raises(StripeFailed):
        await read(world)
    assert await stored(world) == set(days[:2])
    await stripe_fails(world, status=429, times=3)
    assert [page.new for page in await read(world)] == [0, 1, 1]
    assert await stored(world) == set(days)
    assert datetime.now(UTC) - await cursor(world) < timedelta(hours=24)


async def test_more_than_a_page_is_stored_once_and_what_nobody_follows_is_left_out(
    world: World,
) -> None:
    for _ in range(60):
        await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    intent = await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    await world.confirm(intent)
    for n in range(50):
        await world.at_stripe("POST", "/v1/customers", email=f"u{n}@example.com")
    pages = await read(world)
    assert [page.listed for page in pages] == [100, len(await world.events()) - 100]
    assert await stored(world) == await followed(world) < {e["id"] for e in await world.events()}
    assert await cursor(world) == max(page.newest for page in pages if page.newest)


async def test_a_gap_longer_than_stripe_lists_is_told_and_the_rest_is_read(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await set_cursor(world, ago=timedelta(days=40))
    lost = await event_of(world, ago=timedelta(days=35))
    kept = await event_of(world, ago=timedelta(days=29))
    await read(world)
    assert await stored(world) == {kept} != {lost}
    assert "events_lost" in caplog.text
    assert "payments rebuild" in caplog.text
    caplog.clear()
    await read(world)
    assert "events_lost" not in caplog.text


async def test_a_quiet_account_is_no_gap(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await read(world)
    for _ in range(3):
        world.clock.ahead += timedelta(days=20)
        await read(world)
    assert "events_lost" not in caplog.text


async def test_a_worker_that_was_away_catches_up_at_once_and_says_what_was_not_delivered(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await set_cursor(world, ago=timedelta(hours=3))
    booking = await priced_booking(world)
    await paid_at_stripe(world, booking)
    for event in await world.events():
        created = event["created"] - 3600
        world.sandbox.sandbox.state.change("event", event["id"], created=created)
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(world.ctx, stop))
    async with asyncio.timeout(10):
        while (await world.booking(booking))["state"] != "confirmed":  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.02)
    stop.set()
    await working
    [told] = [r for r in caplog.records if "'deliveries_missed'" in r.getMessage()]
    assert "'events': 2" in told.getMessage()


async def test_what_a_new_database_reads_first_was_not_missed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await event_of(world, ago=timedelta(minutes=4))
    await event_of(world, ago=timedelta(minutes=9))
    for chore in chores(world.settings):
        await chore.run(world.ctx)
    assert len(await stored(world)) == 1, "what is older than the database is no news"
    assert "deliveries_missed" not in caplog.text


async def test_the_events_of_another_account_are_not_read(world: World) -> None:
    await set_cursor(world, ago=timedelta(hours=1))
    await event_of(world, ago=timedelta(minutes=30))
    await world.db.execute("update installation set account = 'acct_other'")
    for chore in chores(world.settings):
        with pytest.raises(WrongAccount):
            await chore.run(world.ctx)
    assert await stored(world) == set()


async def test_an_event_listed_after_the_cursor_has_passed_is_among_the_undelivered(
    world: World,
) -> None:
    await world.db.execute("update installation set stamped_at = now() - interval '60 days'")
    await set_cursor(world, ago=timedelta(0))
    late = await event_of(world, ago=timedelta(days=2))
    delivered = await event_of(world, ago=timedelta(days=2))
    world.sandbox.sandbox.state.change("event", late, pending_webhooks=1)
    await read(world)
    assert await stored(world) == set()
    [page] = [page async for page in read_undelivered(world.ctx.sync, Throttle(1000))]
    assert (page.listed, page.new, page.missed) == (1, 1, 1)
    assert await stored(world) == {late} != {delivered}


async def test_the_command_reads_from_the_cursor_or_from_earlier(world: World) -> None:
    await set_cursor(world, ago=timedelta(hours=1))
    recent = await event_of(world, ago=timedelta(minutes=30))
    older = await event_of(world, ago=timedelta(days=2))
    assert world.settings.database_url is not None
    async with listening(world.sandbox) as url:
        env = {
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": url,
            "SECRET_KEY": KEY,
        }
        first = await run("events", "catch-up", **env)
        assert first.stdout == "1 events were listed, 1 of them are new and due\n"
        assert await stored(world) == {recent}
        since = f"{datetime.now(UTC) - timedelta(days=3):%Y-%m-%d}"
        again = await run("events", "catch-up", "--since", since, **env)
        assert again.stdout == "2 events were listed, 1 of them are new and due\n"
        assert await stored(world) == {recent, older}
        refused = await run("events", "catch-up", "--since", "2020-01-01", **env)
    assert refused.exit_code == 1
    assert "payments rebuild" in str(refused.exception)
