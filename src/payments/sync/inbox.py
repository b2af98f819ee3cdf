"""The inbox: each event once, as the bytes it was; finished, postponed or dead, never lost.

Re-fetches are rows of the same table with an id of their own making (`fetch:refund:re_…`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Index, LargeBinary, SmallInteger, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Database
from payments.core.telemetry import EVENTS
from payments.sync import outbox, queue
from payments.sync.outbox import Message
from payments.sync.queue import CHANNEL, LOCK, PATIENCE
from payments.sync.resources import Resource
from payments.sync.sorting import FETCH, Row


class StripeEvent(queue.Work):
    """An event Stripe sent, or an object to fetch."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        Index(
            "ix_stripe_events_due",
            "lane",
            "not_before",
            postgresql_where=text("not_before is not null"),
        ),
        Index("ix_stripe_events_dead", "received_at", postgresql_where=text("outcome = 'dead'")),
        Index("ix_stripe_events_object", "object_id"),
        Index("ix_stripe_events_received_at", "received_at"),
    )

    type: Mapped[str]
    resource: Mapped[str | None]
    object_id: Mapped[str | None]
    account: Mapped[str | None]
    livemode: Mapped[bool | None]
    api_version: Mapped[str | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    lane: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row this worker holds: by a row lock in the payload lane, by a lease in the fetch lane."""

    id: str
    type: str
    resource: str
    object_id: str
    body: bytes | None
    attempts: int
    generation: int


_COLUMNS: Final = {
    "id": "text", "type": "text", "resource": "text", "object_id": "text", "account": "text",
    "livemode": "boolean", "api_version": "text", "created_at": "timestamptz", "lane": "smallint",
    "body": "bytea",
}  # fmt: skip

_ARRAYS: Final = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_COLUMNS.values(), 1))
_STORE: Final = f"""
    with stored as (
        insert into stripe_events ({", ".join(_COLUMNS)}, not_before, done_at, outcome)
        select {", ".join(f"e.{name}" for name in _COLUMNS)},
               case when e.lane is not null then now() end,
               case when e.lane is null then now() end,
               case when e.lane is null then 'ignored' end
        from unnest({_ARRAYS}) as e({", ".join(_COLUMNS)})
        on conflict (id) do nothing
        returning 1
    )
    select count(*), pg_notify('{CHANNEL}', '') from stored
    """  # noqa: S608 - column names from the table above, values are bound


async def store(tx: AsyncConnection, rows: Sequence[Row]) -> int:
    """Insert what is new, in one statement; duplicates by event id change nothing."""
    return int((await tx.exec_driver_sql(_STORE, tuple(_columns(rows)))).scalar_one())


async def store_now(db: Database, rows: Sequence[Row]) -> None:
    """The same, committed when it returns."""
    await db.run(_STORE, *_columns(rows))


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in _COLUMNS]


_RETURN: Final = "id, type, resource, object_id, body, attempts, generation"
_DUE: Final = f"select {_RETURN} from stripe_events where lane = :lane and not_before <= now()"  # noqa: S608 - constants
_CLAIM: Final = text(f"{_DUE} {LOCK}")
_CLAIM_FRESH: Final = text(f"{_DUE} and attempts = 0 {LOCK}")
_CLAIM_TRIED: Final = text(f"{_DUE} and attempts > 0 {LOCK}")


async def claim(tx: AsyncConnection, *, lane: int, limit: int) -> list[Claimed]:
    """Lock due rows for this transaction, whether or not they have failed before."""
    return await _claimed(tx, _CLAIM, {"lane": lane, "limit": limit})


async def claim_fresh(tx: AsyncConnection, *, lane: int, limit: int) -> list[Claimed]:
    """Lock due rows that have never failed; they may share a transaction."""
    return await _claimed(tx, _CLAIM_FRESH, {"lane": lane, "limit": limit})


async def claim_tried(tx: AsyncConnection, *, lane: int) -> list[Claimed]:
    """Lock one due row that has failed before: alone, so that it takes no others down with it."""
    return await _claimed(tx, _CLAIM_TRIED, {"lane": lane, "limit": 1})


async def _claimed(tx: AsyncConnection, query: TextClause, bound: dict[str, int]) -> list[Claimed]:
    return [Claimed(*row) for row in (await tx.execute(query, bound)).all()]


async def claim_one(tx: AsyncConnection, *, id: str) -> list[Claimed]:
    """Lock one row, if it is still to be done and nobody else holds it."""
    query = (
        f"select {_RETURN} from stripe_events where id = :id and not_before is not null "  # noqa: S608 - a constant
        "for update skip locked"
    )
    return [Claimed(*row) for row in (await tx.execute(text(query), {"id": id})).all()]


async def lease(tx: AsyncConnection, rows: Collection[Claimed]) -> None:
    """Keep claimed rows from others after this commit, for as long as a fetch may take."""
    await queue.lease(tx, StripeEvent, rows)


async def finish(tx: AsyncConnection, rows: Collection[Claimed], outcome: str = "applied") -> None:
    """Mark rows done, unless a newer wish for the same fetch has come meanwhile."""
    if rows:
        await queue.finish(tx, StripeEvent, rows, outcome)
        EVENTS.labels(outcome=outcome).inc(len(rows))


async def request_fetches(
    tx: AsyncConnection, wanted: Iterable[tuple[Resource, str]], *, idle_seconds: int = 0
) -> None:
    """Ask the fetch lane for objects, one row an object however often it is asked for.

    Args:
        tx: the transaction that found the need.
        wanted: which objects.
        idle_seconds: leave those alone that wait already, or were fetched so recently; for callers
            who are only curious.
    """
    targets = sorted({(resource.name, id) for resource, id in wanted})
    if not targets:
        return
    await tx.execute(
        text(
            f"""
            insert into stripe_events (id, type, resource, object_id, lane, not_before)
            select 'fetch:' || w.resource || ':' || w.id, 'fetch', w.resource, w.id, {FETCH}, now()
            from unnest(cast(:names as text[]), cast(:ids as text[])) as w(resource, id) order by 1
            on conflict (id) do update set not_before = now(), done_at = null, outcome = null,
                error = null, attempts = 0, received_at = now(),
                generation = stripe_events.generation + 1
            where :idle = 0 or (stripe_events.not_before is null
                                and stripe_events.done_at < now() - make_interval(secs => :idle))
            """  # noqa: S608 - a constant
        ),
        {
            "idle": idle_seconds,
            "names": [name for name, _ in targets],
            "ids": [id for _, id in targets],
        },
    )
    await tx.execute(text(f"select pg_notify('{CHANNEL}', '')"))


async def schedule(tx: AsyncConnection, *, task: str, id: str, seconds: int) -> None:
    """Have a worker see to a reservation after a while, whatever becomes of this process."""
    await tx.execute(
        text(
            f"""
            insert into stripe_events (id, type, resource, object_id, lane, not_before)
            values (:row, 'task', :task, :id, {FETCH}, now() + make_interval(secs => :seconds))
            on conflict (id) do nothing
            """  # noqa: S608 - a constant
        ),
        {"row": f"task:{task}:{id}", "task": task, "id": id, "seconds": seconds},
    )


async def call_off(tx: AsyncConnection, *, task: str, id: str) -> None:
    """The reservation is seen to already."""
    await tx.execute(
        text(
            "update stripe_events set done_at = now(), not_before = null, outcome = 'applied' "
            "where id = :row and not_before is not null"
        ),
        {"row": f"task:{task}:{id}"},
    )


async def postpone(tx: AsyncConnection, row: Claimed, exc: Exception, *, own_fault: bool) -> None:
    """Give a row back. A fault of the network or the database is no attempt; our own counts, and
    after 12 of them and 72 h the row is dead: kept, told to the admins, replayable.
    """
    patience = getattr(exc, "retry_after", None) or PATIENCE
    dead = await queue.postpone(tx, StripeEvent, row, exc, own_fault=own_fault, patience=patience)
    EVENTS.labels(outcome="dead" if dead else "postponed").inc()
    if dead:
        facts = {
            "event": row.id,
            "type": row.type,
            "object": row.object_id,
            "error": queue.reason(exc),
        }
        # The same row may be wished for again, and die again.
        key = f"dead_event:{row.id}" + (f":{row.generation}" if row.generation else "")
        told = Message(key, "dead_event", "admin", about=row.object_id, facts=facts)
        await outbox.enqueue(tx, [told])
