"""Replay: events that came before are applied anew, as if they came now; or shown what they would
change.

An event is sorted in again, since what is followed may have changed; one whose body was redacted is
fetched. Workers do the rest, by the one writer, so what follows is recomputed even where the mirror
stays as it is.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import orjson
from sqlalchemy import Select, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import audit
from payments.core.db import is_outage
from payments.core.errors import Invalid
from payments.core.principal import Principal
from payments.stripe_api.service import Delivery
from payments.sync import queue
from payments.sync.apply import Observation, Sync
from payments.sync.inbox import StripeEvent
from payments.sync.observe import look
from payments.sync.process import own_fault
from payments.sync.queue import CHANNEL
from payments.sync.rehearse import Difference, Wanted, rehearse
from payments.sync.selection import Selection
from payments.sync.sorting import FETCH, PAYLOAD, Row, sort_in
from payments.sync.throttle import Throttle

PAGE: Final = 100
OURS: Final = ("fetch", "task")
"""Types of the rows that are wishes of our own, and no event of Stripe's."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that cannot be applied still, and why."""

    object_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a dry run found.

    Attributes:
        differences: rows that would change.
        failures: what would not be applied.
        untried: tasks of our own: they write to Stripe, so no dry run can tell what they would do.
    """

    differences: Sequence[Difference]
    failures: Sequence[Failure]
    untried: Sequence[str]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One page of a replay.

    Attributes:
        events: ids that are due again, or would be.
        ignored: ids whose type nobody follows.
        last: the id that the page ended with.
        rehearsal: of a dry run alone.
    """

    events: Sequence[str]
    ignored: Sequence[str]
    last: str | None
    has_more: bool
    rehearsal: Rehearsal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A wish for a replay.

    Attributes:
        who: whose wish it is; None is the system.
        selection: which events.
        dry_run: only tell what would differ.
        throttle: how quickly Stripe may be asked, in a dry run.
    """

    who: Principal | None
    selection: Selection
    dry_run: bool
    throttle: Throttle = field(repr=False)

    def __post_init__(self) -> None:
        if self.selection.empty:
            raise Invalid(
                "which events? send at least one of id, object_id, type, state, error, since, "
                'until; type "*" is every event'
            )


async def count(sync: Sync, selection: Selection) -> int:
    """How many events a replay of this selection goes through."""
    async with sync.db.transaction() as tx:
        return int((await tx.execute(_chosen(selection, func.count()))).scalar_one())


async def replay_all(sync: Sync, wish: Replay) -> AsyncIterator[Replayed]:
    """Replay page by page whatever was received until now; what comes meanwhile is new anyway."""
    async with sync.db.transaction() as tx:
        now = (await tx.execute(select(func.now()))).scalar_one()
    until = min(wish.selection.until or now, now)
    bounded = replace(wish, selection=wish.selection.model_copy(update={"until": until}))
    last: str | None = None
    more = True
    while more:
        page = await replay(sync, bounded, starting_after=last)
        last, more = page.last, page.has_more
        yield page


async def replay(
    sync: Sync, wish: Replay, *, limit: int = PAGE, starting_after: str | None = None
) -> Replayed:
    """Make events due again, the oldest first, or tell what that would change.

    Args:
        sync: what to work with.
        wish: which events, and whether to change anything.
        limit: how many, at most.
        starting_after: the id that the last page ended with.

    Raises:
        Invalid: the cursor names no event.
        Problem: Stripe could not be asked for what a dry run needs.
    """
    async with sync.db.transaction() as tx:
        rows, more = await _page(tx, sync, wish.selection, limit, starting_after)
        due = [row for row in rows if row.lane is not None]
        if due and not wish.dry_run:
            await _make_due(tx, due)
            await _note(tx, wish, due)
    return Replayed(
        events=[row.id for row in due],
        ignored=[row.id for row in rows if row.lane is None],
        last=rows[-1].id if rows else None,
        has_more=more,
        rehearsal=await _tried(sync, wish.throttle, due) if wish.dry_run else None,
    )


def _chosen(selection: Selection, *columns: Any) -> Select[Any]:
    """A task is finished for good; only one that died is begun again."""
    unfinished = or_(StripeEvent.type != "task", StripeEvent.outcome == queue.DEAD)
    return select(*columns).where(unfinished, *selection.conditions())


_COLUMNS: Final = [getattr(StripeEvent, of_row.name) for of_row in fields(Row)]
_PLACE: Final = (StripeEvent.received_at, StripeEvent.id)


async def _page(
    tx: AsyncConnection, sync: Sync, selection: Selection, limit: int, starting_after: str | None
) -> tuple[list[Row], bool]:
    query = _chosen(selection, *_COLUMNS)
    if starting_after is not None:
        named = select(*_PLACE).where(StripeEvent.id == starting_after)
        if (cursor := (await tx.execute(named)).first()) is None:
            raise Invalid(f"starting_after names no event: {starting_after!r}")
        query = query.where(tuple_(*_PLACE) > tuple_(*cursor))
    found = (await tx.execute(query.order_by(*_PLACE).limit(limit + 1))).all()
    return [_sorted_anew(row, sync) for row in found[:limit]], len(found) > limit


def _sorted_anew(row: Any, sync: Sync) -> Row:
    """What a stored event is to us today. Without its body it is as good as a thin one."""
    if row.type in OURS:
        return Row(*row)
    event = {
        "id": row.id,
        "type": row.type,
        "account": row.account,
        "livemode": row.livemode,
        "api_version": row.api_version,
        "related_object": {"id": row.object_id},
    }
    if row.body is not None:
        event = orjson.loads(row.body)
    return sort_in(Delivery(event, row.body or b""), sync.registry, livemode=sync.livemode)


# Locked in one order, so that two replays wait for each other instead of both failing.
_MAKE_DUE: Final = text(
    f"""
    with wanted as (
        select * from unnest(cast(:ids as text[]), cast(:resources as text[]),
                             cast(:objects as text[]), cast(:lanes as smallint[]))
                      as w(id, resource, object_id, lane)
    ), held as (
        select e.id from stripe_events e where e.id = any(:ids) order by e.id for update
    )
    update stripe_events e
    set resource = w.resource, object_id = w.object_id, lane = w.lane, not_before = now(),
        done_at = null, outcome = null, error = null, attempts = 0, generation = e.generation + 1
    from wanted w join held using (id)
    where e.id = w.id
    returning pg_notify('{CHANNEL}', '')
    """  # noqa: S608 - a constant
)


async def _make_due(tx: AsyncConnection, rows: Sequence[Row]) -> None:
    bound = {
        "ids": [row.id for row in rows],
        "resources": [row.resource for row in rows],
        "objects": [row.object_id for row in rows],
        "lanes": [row.lane for row in rows],
    }
    await tx.execute(_MAKE_DUE, bound)


async def _note(tx: AsyncConnection, wish: Replay, due: Sequence[Row]) -> None:
    objects = {row.object_id for row in due}
    await audit.record(
        tx,
        wish.who,
        act="events.replayed",
        subject=str(objects.pop()) if len(objects) == 1 else StripeEvent.__tablename__,
        selection=wish.selection.model_dump(mode="json", exclude_defaults=True),
        events=[row.id for row in due],
    )


async def _tried(sync: Sync, throttle: Throttle, due: Sequence[Row]) -> Rehearsal:
    """Rehearse events, then once more with the objects that this first try would have fetched."""
    failures: list[Failure] = []
    tasks = [row.id for row in due if row.type == "task"]
    events = [row for row in due if row.type != "task"]
    seen = [_payload(sync, row) for row in events if row.lane == PAYLOAD]
    taps = {_target(row): False for row in events if row.lane == FETCH}
    taps |= {_target(row): True for row in events if row.type.endswith(".deleted")}
    seen += await _looks(sync, throttle, taps, failures)
    differences, wanted = await _rehearsed(sync, seen, failures)
    if doubtful := dict.fromkeys(wanted - taps.keys(), False):
        seen += await _looks(sync, throttle, doubtful, failures)
        differences, _ = await _rehearsed(sync, seen, [])
    return Rehearsal(differences, failures, tasks)


def _payload(sync: Sync, row: Row) -> Observation:
    assert row.resource is not None
    object = orjson.loads(row.body)["data"]["object"]
    return Observation(sync.registry.by_name[row.resource], object, None)


def _target(row: Row) -> tuple[str, str]:
    return str(row.resource), str(row.object_id)


async def _looks(
    sync: Sync,
    throttle: Throttle,
    wanted: Mapping[tuple[str, str], bool],
    failures: list[Failure],
) -> list[Observation]:
    """Fetch objects, those that an event said are gone among them; add to `failures` what Stripe
    does not have.
    """

    async def one(name: str, id: str, *, gone: bool) -> Observation:
        await throttle.turn()
        return await look(sync, sync.registry.by_name[name], id, gone=gone)

    found: list[Observation] = []
    asked = [one(name, id, gone=gone) for (name, id), gone in wanted.items()]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for (_, id), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Observation):
            found.append(answer)
        elif isinstance(answer, Exception) and own_fault(answer):
            failures.append(Failure(id, queue.reason(answer)))
        else:
            raise answer
    return found


async def _rehearsed(
    sync: Sync, seen: Sequence[Observation], failures: list[Failure]
) -> tuple[list[Difference], Wanted]:
    """Rehearse all together; if that fails, without those that fail alone."""
    try:
        return await rehearse(sync, seen)
    except Exception as exc:
        if is_outage(exc):
            raise
    sound = []
    for observation in seen:
        try:
            await rehearse(sync, [observation])
            sound.append(observation)
        except Exception as exc:
            if is_outage(exc):
                raise
            failures.append(Failure(observation.id, queue.reason(exc)))
    return await rehearse(sync, sound)
