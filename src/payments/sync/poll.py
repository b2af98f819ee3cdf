"""Stripe's events asked for, into the inbox that its posts go to: for where it cannot post."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database
from payments.stripe_api.service import Delivery
from payments.sync import inbox
from payments.sync.apply import Sync
from payments.sync.process import own_fault
from payments.sync.sorting import Row, sort_in

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 30.0
FIRST_LOOK_BACK: Final = timedelta(minutes=5)
OVERLAP: Final = timedelta(minutes=1)
"""Stripe lists by whole seconds, and an event may be listed a little after a later one."""
GROUP: Final = 500

POLLING: Final = "polling"


class EventCursor(Base):
    """Up to which of Stripe's seconds everything has been asked for, by who asks."""

    __tablename__ = "event_cursors"

    name: Mapped[str] = mapped_column(primary_key=True)
    reached_at: Mapped[datetime]


async def pull_events(sync: Sync, since: datetime) -> datetime:
    """Store every event that Stripe has made since a time (30 days ago at most), the oldest first;
    those known already change nothing.

    Returns:
        The time of the newest event; `since` if there was none.

    Raises:
        Problem: Stripe did not list all of them, and nothing is stored.
    """
    created = {"gte": int(since.timestamp())}
    listed = sync.stripe.every(lambda c, params: c.v1.events.list_async(params), created=created)
    found = [event async for event in listed]
    rows = [_row(sync, event) for event in reversed(found)]
    for start in range(0, len(rows), GROUP):
        async with sync.db.transaction() as tx:
            await inbox.store(tx, rows[start : start + GROUP])
    return datetime.fromtimestamp(found[0]["created"], UTC) if found else since


def _row(sync: Sync, event: dict[str, Any]) -> Row:
    delivery = Delivery(event=event, body=orjson.dumps(event))
    return sort_in(delivery, sync.registry, livemode=sync.livemode)


async def poll(sync: Sync, stop: asyncio.Event) -> None:
    """Pull every two seconds until `stop` is set; wait longer while Stripe or the database is away
    or Stripe limits the rate. The cursor is kept, so nothing is lost between two runs.
    """
    wait = EVERY_SECONDS
    while not stop.is_set():
        try:
            await poll_once(sync)
        except Exception as exc:
            if own_fault(exc):
                raise
            wait = min(wait * 2, PATIENCE_SECONDS)
            log.warning("events cannot be asked for", reason=str(exc), wait=wait)
        else:
            wait = EVERY_SECONDS
        await _rest(stop, wait)


async def poll_once(sync: Sync) -> None:
    """Pull what has come since the cursor, and move it once all of that is stored."""
    reached = await _reached(sync.db, first=sync.clock.now() - FIRST_LOOK_BACK)
    newest = await pull_events(sync, reached - OVERLAP)
    if newest > reached:
        await _reach(sync.db, newest)


async def _reached(db: Database, *, first: datetime) -> datetime:
    """The cursor; where there is none, it is set where the asking begins."""
    async with db.transaction() as tx:
        await tx.execute(
            insert(EventCursor).values(name=POLLING, reached_at=first).on_conflict_do_nothing()
        )
        found = select(EventCursor.reached_at).where(EventCursor.name == POLLING)
        return (await tx.execute(found)).scalar_one()


async def _reach(db: Database, newest: datetime) -> None:
    row = insert(EventCursor).values(name=POLLING, reached_at=newest)
    further = func.greatest(EventCursor.reached_at, row.excluded.reached_at)
    async with db.transaction() as tx:
        await tx.execute(
            row.on_conflict_do_update(index_elements=["name"], set_={"reached_at": further})
        )


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
