"""Sweeping one resource: all that Stripe lists of a time, and older rows that may still change."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.schemas import END, EPOCH
from payments.sync.apply import Observation, timestamp
from payments.sync.observe import pages
from payments.sync.process import FETCH_BATCH
from payments.sync.reconcile.compare import AT_ONCE, mismatches, unnamed
from payments.sync.reconcile.confirm import Doubts, bury, confirm, look_at
from payments.sync.reconcile.runs import Round
from payments.sync.resources import Resource

PAGE: Final = 100


async def sweep(round: Round, resource: Resource) -> None:
    """Compare one resource's rows with Stripe, a page at a time."""
    doubts: dict[str, int | None] = {}
    async for found in _doubts(round, resource):
        doubts |= found
        if len(doubts) >= AT_ONCE:
            await confirm(round, resource, doubts)
            doubts = {}
    await confirm(round, resource, doubts)
    await bury(round, resource)


def begins(round: Round, resource: Resource) -> datetime:
    """Where the sweep of a resource begins. One that says of no row that it may still change has no
    final states: a product is renamed after years. These are swept whole; they are the short lists.
    """
    return EPOCH if resource.open == "false" else round.wish.since


async def likely(tx: AsyncConnection, round: Round, resource: Resource) -> int:
    """How many objects a sweep will look at, going by the rows that are here."""
    query = text(
        f"select count(*) from {resource.relation} "  # noqa: S608 - names and a condition of our own
        f"where not deleted and (created_at >= :since or {resource.open})"
    )
    return int((await tx.execute(query, {"since": begins(round, resource)})).scalar_one())


async def _doubts(round: Round, resource: Resource) -> AsyncIterator[Doubts]:
    """Rows that differ from what Stripe lists, and rows that it does not list."""
    since, until = begins(round, resource), END
    async for batch in _by_the_second(_newest_first(round, resource, since)):
        oldest = _created(batch[-1])
        yield await _differing(round, resource, batch)
        ids = [o.id for o in batch]
        async for rows in unnamed(round.sync.db, resource, ids, since=oldest, until=until):
            yield rows
        until = oldest
    async for rows in unnamed(round.sync.db, resource, [], since=since, until=until):
        yield rows
    async for batch in _still_open(round, resource, since):
        yield await _differing(round, resource, batch)


async def _differing(round: Round, resource: Resource, seen: list[Observation]) -> Doubts:
    round.looked[resource.name] += len(seen)
    async with round.sync.db.transaction() as tx:
        return {found.id: found.ticket for found in await mismatches(tx, resource, seen)}


async def _newest_first(
    round: Round, resource: Resource, since: datetime
) -> AsyncIterator[Observation]:
    """All that Stripe lists; lists that only together name all of it are merged."""
    created = {"created": {"gte": int(since.timestamp())}} if since > EPOCH else {}
    streams = [_listed(round, resource, **params, **created) for params in resource.listings]
    heads = [await anext(stream, None) for stream in streams]
    while living := [(_created(head), n) for n, head in enumerate(heads) if head is not None]:
        _, newest = max(living)
        head, heads[newest] = heads[newest], await anext(streams[newest], None)
        assert head is not None
        yield head


async def _listed(round: Round, resource: Resource, **params: Any) -> AsyncIterator[Observation]:
    await round.throttle.turn()
    busy = round.throttle.slow_down
    async for page in pages(round.sync, resource, limit=PAGE, on_busy=busy, **params):
        for seen in page:
            yield seen
        await round.throttle.turn()


async def _by_the_second(stream: AsyncIterator[Observation]) -> AsyncIterator[list[Observation]]:
    """Batches that end with a second: of the time that one spans, it names all that Stripe has."""
    batch: list[Observation] = []
    async for seen in stream:
        if len(batch) >= PAGE and _created(seen) != _created(batch[-1]):
            yield batch
            batch = []
        batch.append(seen)
    if batch:
        yield batch


def _created(seen: Observation) -> datetime:
    return timestamp(seen.object["created"]) or EPOCH


async def _still_open(
    round: Round, resource: Resource, before: datetime
) -> AsyncIterator[list[Observation]]:
    """Older objects that may still change, fetched by id."""
    row = resource.table
    older = select(row.id).where(text(f"({resource.open})"), ~row.deleted, row.created_at < before)
    async for rows in round.sync.db.walk(older, by=row.id, size=FETCH_BATCH):
        yield await look_at(round, resource, [found.id for found in rows])
