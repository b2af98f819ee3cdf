"""Runs of reconciliations: requested, held by one process while they last, and how they ended."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import uuid4

import orjson
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.sync import queue
from payments.sync.apply import Sync
from payments.sync.outbox import Message, enqueue
from payments.sync.process import own_fault
from payments.sync.queue import LEASE_SECONDS
from payments.sync.reconcile.tables import Drift, Reconciliation
from payments.sync.throttle import Throttle

HEARTBEAT_SECONDS: Final = LEASE_SECONDS / 3
AGAIN_SECONDS: Final = 300
"""How long a run rests that Stripe has failed."""
NAMED: Final = 10
"""How many rows the message to the admins names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be compared.

    Attributes:
        since: objects created at this time or later; older ones only while they may change.
        resources: names of resources and checks; none are all.
        heal: write what Stripe says over what differs.
    """

    since: datetime
    resources: Sequence[str] = ()
    heal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A run under way; `looked` counts by resource what has been compared so far."""

    sync: Sync
    throttle: Throttle
    id: str
    wish: Wish
    attempts: int
    generation: int
    looked: Counter[str] = field(default_factory=Counter)

    def wants(self, name: str) -> bool:
        return not self.wish.resources or name in self.wish.resources


async def request(tx: AsyncConnection, wish: Wish, *, by: str, for_worker: bool = True) -> str:
    """Write down a run and return its id; a worker takes it soon, unless it is for the caller."""
    id = f"rec_{uuid4().hex}"
    row = {
        "id": id,
        "requested_by": by,
        "since": wish.since,
        "resources": list(wish.resources),
        "heal": wish.heal,
        "not_before": func.now() if for_worker else None,
    }
    await tx.execute(insert(Reconciliation).values(row))
    return id


_BEGIN: Final = text(
    f"""
    update reconciliations r
    set not_before = case when not_before is not null
                          then now() + make_interval(secs => {LEASE_SECONDS}) end,
        began_at = now(), seen_at = now(), error = null, looked = '{{}}'
    where id = coalesce(cast(:id as text), (
        select id from reconciliations where not_before <= now()
        order by not_before limit 1 for update skip locked))
    returning id, since, resources, heal, attempts, generation
    """  # noqa: S608 - a constant
)


async def begin(sync: Sync, throttle: Throttle, id: str | None = None) -> Round | None:
    """Hold a run, from its beginning: the one named, or one that is due and nobody else holds."""
    async with sync.db.transaction() as tx:
        row = (await tx.execute(_BEGIN, {"id": id})).first()
        if row is None:
            return None
        await tx.execute(
            text("delete from reconciliation_drift where reconciliation = :id"), {"id": row.id}
        )
    return Round(
        sync=sync,
        throttle=throttle,
        id=row.id,
        wish=Wish(since=row.since, resources=row.resources, heal=row.heal),
        attempts=row.attempts,
        generation=row.generation,
    )


@asynccontextmanager
async def held(round: Round) -> AsyncIterator[None]:
    """Say now and then that the run goes on, and how far it is."""
    beating = asyncio.create_task(_beat(round))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(round: Round) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with suppress(OSError, TimeoutError, DBAPIError):
            async with round.sync.db.transaction() as tx:
                await note(tx, round)


_NOTE: Final = text(
    f"""
    update reconciliations
    set seen_at = now(), looked = cast(:looked as jsonb),
        not_before = case when not_before is not null
                          then now() + make_interval(secs => {LEASE_SECONDS}) end
    where id = :id and done_at is null
    """  # noqa: S608 - a constant
)


async def note(tx: AsyncConnection, round: Round) -> None:
    """Write down how far the run is, and keep it from others for another while."""
    await tx.execute(_NOTE, {"id": round.id, "looked": orjson.dumps(round.looked).decode()})


async def close(round: Round) -> None:
    """The run is complete; the admins are told of what it has found."""
    async with round.sync.db.transaction() as tx:
        await note(tx, round)
        await queue.finish(tx, Reconciliation, [round], "done")
        await _tell(tx, round)


async def give_up(round: Round, exc: Exception) -> None:
    """The run has failed. A worker's is tried again; one of the command line is over."""
    own = own_fault(exc)
    async with round.sync.db.transaction() as tx:
        await note(tx, round)
        await queue.postpone(tx, Reconciliation, round, exc, own_fault=own, patience=AGAIN_SECONDS)
        over = (Reconciliation.id == round.id, Reconciliation.not_before.is_(None))
        failed = {"error": queue.reason(exc), "done_at": func.now()}
        await tx.execute(update(Reconciliation).where(*over).values(failed))


async def _tell(tx: AsyncConnection, round: Round) -> None:
    of_it = Drift.reconciliation == round.id
    counts = select(func.count(), func.count().filter(~Drift.healed)).where(of_it)
    found, left = (await tx.execute(counts)).one()
    if not found:
        return
    first = select(Drift.resource, Drift.object_id).where(of_it).order_by(Drift.healed, Drift.id)
    rows = (await tx.execute(first.limit(NAMED))).all()
    facts = {
        "reconciliation": round.id,
        "found": found,
        "left": left,
        "rows": [f"{row.resource} {row.object_id}" for row in rows],
    }
    told = Message(f"drift:{round.id}", "drift", "admin", about=rows[0].object_id, facts=facts)
    await enqueue(tx, [told])
