"""Chores: due ones run once however many workers there are, and none is lost by what befalls it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from payments.sync import timetable
from payments.sync.chores import Chore
from world import World

NIGHT = Chore(name="nightly", run=lambda _: asyncio.sleep(0), at=time(3))


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "LOOK_SECONDS", 0.01)


async def row(world: World, name: str) -> Any:
    return await world.db.fetchrow("select * from chores where name = $1", name)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await true():  # noqa: ASYNC110 - a row has no event to await
            await asyncio.sleep(0.01)


def test_a_nightly_chore_is_due_at_its_hour_by_the_clock_on_the_wall() -> None:
    """Berlin changes to winter time on 25 October 2026 at three o'clock."""
    berlin = ZoneInfo("Europe/Berlin")
    assert NIGHT.due_after(datetime(2026, 10, 24, 12, tzinfo=UTC), berlin) == datetime(
        2026, 10, 25, 2, tzinfo=UTC
    )
    assert NIGHT.due_after(datetime(2026, 10, 25, 2, tzinfo=UTC), berlin) == datetime(
        2026, 10, 26, 2, tzinfo=UTC
    )
    assert NIGHT.due_after(datetime(2026, 10, 23, 0, 59, tzinfo=UTC), berlin) == datetime(
        2026, 10, 23, 1, tzinfo=UTC
    )


async def test_three_workers_run_a_due_chore_once_and_then_when_it_is_due_again(
    world: World,
) -> None:
    runs = 0

    async def run(_: Any) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.1)

    chore = Chore(name="often", run=run, every=timedelta(hours=1))
    stop = asyncio.Event()
    workers = [asyncio.create_task(timetable.keep(world.ctx, [chore], stop)) for _ in range(3)]

    async def ran(times: int) -> bool:
        return runs == times and (await row(world, "often"))["held_until"] is None

    await until(lambda: ran(1))
    assert (await row(world, "often"))["due_at"] > datetime.now(UTC) + timedelta(minutes=59)
    await world.db.execute("update chores set due_at = now()")
    await until(lambda: ran(2))
    stop.set()
    await asyncio.gather(*workers)


async def test_a_chore_cut_short_is_at_once_due_for_another_worker(world: World) -> None:
    began = asyncio.Event()

    async def run(_: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    chore = Chore(name="endless", run=run)
    stop = asyncio.Event()
    worker = asyncio.create_task(timetable.keep(world.ctx, [chore], stop))
    await began.wait()
    assert (await row(world, "endless"))["held_until"] is not None
    stop.set()
    await worker
    left = await row(world, "endless")
    assert left["held_until"] is None
    assert left["due_at"] <= datetime.now(UTC)


async def test_a_chore_whose_worker_was_killed_is_done_when_its_lease_ends(world: World) -> None:
    ran = asyncio.Event()

    async def run(_: Any) -> None:
        ran.set()

    chore = Chore(name="orphan", run=run)
    await timetable.enter(world.ctx, [chore])
    await world.db.execute("update chores set held_until = now() + interval '300 ms'")
    stop = asyncio.Event()
    worker = asyncio.create_task(timetable.keep(world.ctx, [chore], stop))
    async with asyncio.timeout(5):
        await ran.wait()
    assert await world.db.fetchval("select started_at > now() - interval '5 s' from chores")
    stop.set()
    await worker


async def test_a_chore_that_fails_says_why_and_is_tried_again_soon(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(_: Any) -> None:
        raise ValueError("sk_test_abc is no good")

    chore = Chore(name="broken", run=run, at=time(3))
    await timetable.enter(world.ctx, [chore])
    await world.db.execute("update chores set due_at = now() - interval '1 s'")
    stop = asyncio.Event()
    worker = asyncio.create_task(timetable.keep(world.ctx, [chore], stop))

    async def failed() -> bool:
        return (await row(world, "broken"))["error"] is not None

    await until(failed)
    left = await row(world, "broken")
    assert left["error"] == "ValueError: sk_test_*** is no good"
    assert left["due_at"] <= datetime.now(UTC) + timedelta(minutes=5)
    assert left["done_at"] is None
    assert "chore_failed" in caplog.text
    stop.set()
    await worker
