"""Catch-up: Stripe's own list of its events, read into the inbox that its posts go to; so what was
never posted, or could not be received, is applied, replayed and told of like everything else.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.core.telemetry import EVENTS_READ_UNTIL, MISSED_DELIVERIES, alert
from payments.settings import Settings
from payments.stripe_api.service import Delivery
from payments.sync import inbox
from payments.sync.account import Installation, confirm
from payments.sync.apply import Sync
from payments.sync.chores import Chore
from payments.sync.observe import CLOCKS_DIFFER
from payments.sync.sorting import Row, sort_in
from payments.sync.throttle import Throttle

log = structlog.get_logger(__name__)

KEPT: Final = timedelta(days=30)
"""How long Stripe lists an event."""
OVERLAP: Final = timedelta(minutes=1)
"""Stripe lists by whole seconds, and an event may be listed a little after a later one."""
WINDOW: Final = timedelta(days=1)
"""After how much of a long gap the cursor moves: where a reading that was cut short goes on."""
LOOK_BACK: Final = timedelta(minutes=5)
"""How long before a database met its account its first reading begins: it imports no past."""
OVERDUE: Final = timedelta(minutes=2)
"""An event that has not come by then was not delivered at the first try."""
UNDELIVERED_EVERY: Final = timedelta(hours=6)

CURSOR: Final = "events"


class EventCursor(Base):
    """Up to which of Stripe's seconds everything has been asked for, by who asks."""

    __tablename__ = "event_cursors"

    name: Mapped[str] = mapped_column(primary_key=True)
    reached_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Page:
    """What became of one page of Stripe's list.

    Attributes:
        listed: how many events it had.
        new: how many the inbox did not have, of those that are followed.
        missed: how many of the new ones should have been delivered before.
        newest: when the first of them was made.
    """

    listed: int
    new: int
    missed: int
    newest: datetime | None


async def catch_up(
    sync: Sync, throttle: Throttle, *, since: datetime | None = None
) -> AsyncGenerator[Page, None]:
    """Store every followed event that Stripe has made since the cursor; those known already change
    nothing. A long gap is read a day at a time, the oldest first, and the cursor moves after each,
    never past an event that is not stored; so a reading may be cut short anywhere.

    Args:
        sync: what to work with.
        throttle: how quickly Stripe may be asked.
        since: begin there, if the cursor is later.

    Raises:
        Problem: Stripe did not list all of them; what it did list is stored.
    """
    reached, first = await _cursor(sync)
    now = sync.clock.now()
    begin = reached - OVERLAP
    if begin < now - KEPT:
        alert(
            "events_lost",
            "Stripe no longer lists what it made after the last event that was read; "
            "`payments rebuild` asks for the objects themselves",
            read_until=reached.isoformat(),
        )
    begin = max(min(begin, since or begin), now - KEPT)
    settled = now - CLOCKS_DIFFER
    overdue = begin if first else now - OVERDUE
    for start, end in _windows(begin, settled):
        newest = settled
        created = {"gte": _seconds(start), **({"lt": _seconds(end)} if end else {})}
        async for page in _read(sync, throttle, overdue=overdue, created=created):
            newest = max(newest, page.newest or settled)
            yield page
        await _move(sync, end or newest)


async def read_undelivered(sync: Sync, throttle: Throttle) -> AsyncIterator[Page]:
    """Store the events that Stripe itself says it could not deliver, of all the time that it lists.

    Reading from the cursor is complete but for an event that Stripe lists later than OVERLAP. This
    finds that one too, if it was not delivered either. It is a short list as a rule, though it also
    has what other endpoints of the account have refused; hence a few times a day.
    """
    now = sync.clock.now()
    async with sync.db.transaction() as tx:
        begin = max(await _first(tx, now), now - KEPT)
    asked = {"delivery_success": False, "created": {"gte": _seconds(begin)}}
    async for page in _read(sync, throttle, overdue=now - OVERDUE, **asked):
        yield page


def chores(settings: Settings) -> tuple[Chore, ...]:
    """Both readings, for a service that Stripe posts to. A worker that was away finds them due. It
    may have begun while Stripe did not name the key's account; another's events are not ours.
    """

    async def since_the_cursor(ctx: Any) -> None:
        await confirm(ctx.db, ctx.stripe, livemode=settings.live)
        await _tell(catch_up(ctx.sync, Throttle(settings.stripe_rate)))

    async def undelivered(ctx: Any) -> None:
        await confirm(ctx.db, ctx.stripe, livemode=settings.live)
        await _tell(read_undelivered(ctx.sync, Throttle(settings.stripe_rate)))

    every = timedelta(minutes=settings.catch_up_minutes)
    return (
        Chore(name="catch_up", run=since_the_cursor, every=every),
        Chore(name="undelivered", run=undelivered, every=UNDELIVERED_EVERY),
    )


async def _tell(pages: AsyncIterator[Page]) -> None:
    """Read to the end, and say how much was not delivered, also if the end is not reached."""
    missed = 0
    try:
        async for page in pages:
            missed += page.missed
    finally:
        if missed:
            MISSED_DELIVERIES.inc(missed)
            alert("deliveries_missed", "Stripe's posts did not arrive; asked for", events=missed)


def _windows(begin: datetime, settled: datetime) -> Iterator[tuple[datetime, datetime | None]]:
    """From `begin` on, day by day as long as no more can come to a day, then all the rest."""
    while begin + WINDOW <= settled:
        yield begin, begin + WINDOW
        begin += WINDOW
    yield begin, None


async def _read(
    sync: Sync, throttle: Throttle, *, overdue: datetime, **params: Any
) -> AsyncIterator[Page]:
    listed = sync.stripe.pages(
        lambda c, params: c.v1.events.list_async(params), on_busy=throttle.slow_down, **params
    )
    await throttle.turn()
    async for events in listed:
        yield await _store(sync, events, overdue)
        await throttle.turn()


async def _store(sync: Sync, events: Sequence[dict[str, Any]], overdue: datetime) -> Page:
    """Store a page, the oldest first. What nobody follows is never posted, so it is left out."""
    rows = [row for event in reversed(events) if (row := _row(sync, event)).resource is not None]
    groups: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        groups[row.created_at is not None and row.created_at < overdue].append(row)
    async with sync.db.transaction() as tx:
        fresh, missed = [await inbox.store(tx, group) if group else 0 for group in groups]
    newest = _time(events[0]["created"]) if events else None
    return Page(listed=len(events), new=fresh + missed, missed=missed, newest=newest)


def _row(sync: Sync, event: dict[str, Any]) -> Row:
    delivery = Delivery(event=event, body=orjson.dumps(event))
    return sort_in(delivery, sync.registry, livemode=sync.livemode)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def _cursor(sync: Sync) -> tuple[datetime, bool]:
    """The cursor, and whether it was only now set to where the first reading begins."""
    found = select(EventCursor.reached_at).where(EventCursor.name == CURSOR)
    async with sync.db.transaction() as tx:
        if (reached := (await tx.execute(found)).scalar_one_or_none()) is not None:
            return reached, False
        first = await _first(tx, sync.clock.now())
        row = insert(EventCursor).values(name=CURSOR, reached_at=first)
        await tx.execute(row.on_conflict_do_nothing())
    return first, True


async def _first(tx: AsyncConnection, now: datetime) -> datetime:
    """When this database met its Stripe account, and a little before."""
    stamped = (await tx.execute(select(Installation.stamped_at))).scalar_one_or_none()
    return (stamped or now) - LOOK_BACK


async def _move(sync: Sync, reached: datetime) -> None:
    """Move the cursor forward; somebody else may have moved it further."""
    row = insert(EventCursor).values(name=CURSOR, reached_at=reached)
    further = func.greatest(EventCursor.reached_at, row.excluded.reached_at)
    async with sync.db.transaction() as tx:
        await tx.execute(
            row.on_conflict_do_update(index_elements=["name"], set_={"reached_at": further})
        )
    EVENTS_READ_UNTIL.set(reached.timestamp())
