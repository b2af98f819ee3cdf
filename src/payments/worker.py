"""The worker process: drains both lanes of the inbox, and the outbox, until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from payments import probes
from payments.context import Context
from payments.core.db import is_outage
from payments.messages import post
from payments.sync import arrears, catchup, process, queue, retention, timetable
from payments.sync.account import stamp, stamped
from payments.sync.chores import Chore
from payments.sync.poll import poll
from payments.sync.throttle import Throttle

log = structlog.get_logger(__name__)

CHORES: Final[tuple[Chore, ...]] = (arrears.CHORE, retention.CHORE)
"""Those of the sync itself; slices bring theirs."""

POLL_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 5.0


async def run(ctx: Context, stop: asyncio.Event, *, poll_events: bool = False) -> None:
    """Work until `stop` is set. A side task that dies ends the process: restart beats limping.

    Args:
        ctx: what the process holds open.
        stop: when to end.
        poll_events: ask Stripe for its events, because it cannot post them here.
    """
    await ready(ctx, stop)
    wake = asyncio.Event()
    throttle = Throttle(ctx.settings.stripe_rate)
    outgoing = post.open_post(ctx.settings, ctx.sync)
    # Whoever polls reads the same events from the same cursor.
    reading = () if poll_events else catchup.chores(ctx.settings)
    chores = (*CHORES, *reading, *ctx.sync.registry.chores)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(lane(lambda: process.drain_payloads(ctx.sync), wake, stop)),
            group.create_task(lane(lambda: process.drain_fetches(ctx.sync, throttle), wake, stop)),
            group.create_task(lane(lambda: post.drain(outgoing), wake, stop)),
            group.create_task(timetable.keep(ctx, chores, stop)),
            group.create_task(listen(ctx, wake)),
        ]
        if poll_events:
            group.create_task(poll(ctx.sync, throttle, stop))
        await stop.wait()
        wake.set()
        tasks[-1].cancel()


async def ready(ctx: Context, stop: asyncio.Event) -> None:
    """Wait for a database that is migrated and, the first time, for a Stripe that names itself.

    Raises:
        WrongAccount: this database mirrors another account.
    """
    while not stop.is_set():
        database = await probes.database(ctx)
        if database.state == "ok":
            await ctx.db.check()
            account = await stamp(ctx.db, ctx.stripe, livemode=ctx.settings.live)
            if account or await stamped(ctx.db):
                return
        log.warning("waiting", reason=database.detail or "Stripe does not name its account")
        await asyncio.sleep(1)


async def lane(
    drain: Callable[[], Awaitable[int]], wake: asyncio.Event, stop: asyncio.Event
) -> None:
    """Drain one lane; rest while there is nothing to do or the database is away."""
    while not stop.is_set():
        try:
            busy = await drain()
        except Exception as exc:
            if not is_outage(exc):
                raise
            log.warning("the database is away", reason=type(exc).__name__)
            busy = 0
        if not busy:
            await _rest(wake)


async def _rest(wake: asyncio.Event) -> None:
    wake.clear()
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await wake.wait()
    except TimeoutError:
        return


async def listen(ctx: Context, wake: asyncio.Event) -> None:
    """Wake the lanes as soon as something is stored. Polling stays underneath, so a lost
    connection, or a pooler that cannot LISTEN, costs a quarter of a second at most.
    """
    settings = ctx.settings
    url = settings.database_url_listen or (
        settings.database_url if settings.database_pooler == "session" else None
    )
    while url is not None:
        try:
            await _listen_once(url.get_secret_value(), wake)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            log.warning("not listening, polling instead", reason=type(exc).__name__)
            await asyncio.sleep(PATIENCE_SECONDS)


async def _listen_once(url: str, wake: asyncio.Event) -> None:
    lost = asyncio.Event()
    connection = await asyncpg.connect(
        url.replace("postgresql+asyncpg://", "postgresql://"), timeout=5
    )
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(queue.CHANNEL, lambda *_: wake.set())
        wake.set()
        await lost.wait()
    finally:
        await connection.close(timeout=1)
