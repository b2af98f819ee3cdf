"""One turn of the worker in each lane: claim, look where needed, apply, finish."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import errors
from payments.core.db import is_outage
from payments.core.telemetry import alert
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Delivery
from payments.sync import inbox
from payments.sync.apply import Observation, Sync, apply, apply_in, with_roots
from payments.sync.inbox import Claimed
from payments.sync.observe import look
from payments.sync.resources import Task
from payments.sync.sorting import FETCH, PAYLOAD, sort_in
from payments.sync.throttle import Throttle

PAYLOAD_BATCH: Final = 500
FETCH_BATCH: Final = 20

STRIPES_FAULT: Final = (
    errors.StripeBusy,
    errors.StripeFailed,
    errors.StripeTimeout,
    errors.InFlight,
)


def own_fault(exc: Exception) -> bool:
    """Whether a failure is the event's own; one of Stripe's, the network's or the database's is no
    attempt.
    """
    return not (isinstance(exc, STRIPES_FAULT) or is_outage(exc))


def payload(sync: Sync, row: Claimed) -> Observation:
    """The object inside an event, as it was when the event was made."""
    assert row.body is not None, "a redacted event is fetched, never applied from its payload"
    event = orjson.loads(row.body)
    return Observation(sync.registry.by_name[row.resource], event["data"]["object"], None)


async def drain_payloads(sync: Sync) -> int:
    """Apply up to 500 fresh events in one transaction, and one that has failed before in another;
    return how many. If the batch fails, each of its events gets a transaction of its own, and only
    the guilty one is postponed.
    """

    async def fresh(tx: AsyncConnection) -> list[Claimed]:
        return await inbox.claim_fresh(tx, lane=PAYLOAD, limit=PAYLOAD_BATCH)

    async def tried(tx: AsyncConnection) -> list[Claimed]:
        return await inbox.claim_tried(tx, lane=PAYLOAD)

    batch, exc = await _apply_claimed(sync, fresh)
    for row in batch if exc else ():
        await _apply_alone(sync, partial(inbox.claim_one, id=row.id))
    return len(batch) + await _apply_alone(sync, tried)


Claim = Callable[[AsyncConnection], Awaitable[list[Claimed]]]


async def _apply_alone(sync: Sync, claim: Claim) -> int:
    rows, exc = await _apply_claimed(sync, claim)
    if exc is not None:
        await _postpone(sync, rows, exc)
    return len(rows)


async def _apply_claimed(sync: Sync, claim: Claim) -> tuple[list[Claimed], Exception | None]:
    """Claim, apply and finish in one transaction; return what was claimed, and what went wrong."""
    claimed: list[Claimed] = []

    async def work(tx: AsyncConnection, roots: set[str]) -> None:
        claimed[:] = await claim(tx)
        if claimed:
            await apply_in(tx, sync, [payload(sync, row) for row in claimed], roots)
            await inbox.finish(tx, claimed)

    try:
        await with_roots(sync.db, work)
    except Exception as exc:
        if not claimed:
            raise
        return claimed, exc
    return claimed, None


async def drain_fetches(sync: Sync, throttle: Throttle) -> int:
    """Fetch and apply up to 20 objects; return how many rows that served. Rows for the same object
    share one fetch.
    """
    async with sync.db.transaction() as tx:
        if claimed := await inbox.claim(tx, lane=FETCH, limit=FETCH_BATCH):
            await inbox.lease(tx, claimed)
    by_object: dict[tuple[str, str], list[Claimed]] = {}
    for row in claimed:
        by_object.setdefault((row.resource, row.object_id), []).append(row)
    async with asyncio.TaskGroup() as group:
        for rows in by_object.values():
            group.create_task(_fetch(sync, throttle, rows))
    return len(claimed)


async def _fetch(sync: Sync, throttle: Throttle, rows: Sequence[Claimed]) -> None:
    gone = any(row.type.endswith(".deleted") for row in rows)
    try:
        await throttle.turn()
        if (task := sync.registry.tasks.get(rows[0].resource)) is not None:
            await _see_to(sync, task, rows)
            return
        resource = sync.registry.by_name[rows[0].resource]
        seen = await look(sync, resource, rows[0].object_id, gone=gone)
        await apply(sync, [seen], rows)
    except Exception as exc:  # noqa: BLE001 - every fault is the rows' own story, told in the inbox
        if isinstance(exc, errors.StripeBusy):
            throttle.slow_down()
        if isinstance(exc, StripeObjectMissing) and any(row.attempts == 0 for row in rows):
            alert("object_missing", "Stripe has no such object", id=rows[0].object_id)
        await _postpone(sync, rows, exc)


async def _see_to(sync: Sync, task: Task, rows: Sequence[Claimed]) -> None:
    await task(sync, rows[0].object_id)
    async with sync.db.transaction() as tx:
        await inbox.finish(tx, rows)


async def _postpone(sync: Sync, rows: Sequence[Claimed], exc: Exception) -> None:
    try:
        async with sync.db.transaction() as tx:
            for row in rows:
                await inbox.postpone(tx, row, exc, own_fault=own_fault(exc))
    except Exception as lost:
        if not is_outage(lost):
            raise
        # Without a database nothing can be written down; the lease or the lock ends by itself.
        await asyncio.sleep(0.5)


async def process(sync: Sync, event: dict[str, Any]) -> None:
    """Apply one event now, whether or not it is in the inbox."""
    row = sort_in(
        Delivery(event=event, body=orjson.dumps(event)), sync.registry, livemode=sync.livemode
    )
    if row.resource is None or row.object_id is None:
        return
    resource = sync.registry.by_name[row.resource]
    if row.lane == PAYLOAD:
        await apply(sync, [Observation(resource, event["data"]["object"], None)])
    else:
        await apply(
            sync, [await look(sync, resource, row.object_id, gone=row.type.endswith(".deleted"))]
        )
