"""Replay: events that came before are applied anew, as if they came now; or shown what they would
change.

An event is sorted in again, since what is followed may have changed; one whose body was redacted is
fetched. Workers do the rest, by the one writer, so what follows is recomputed even where the mirror
stays as it is.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import orjson
from sqlalchemy import Select, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import audit
from payments.core.errors import Invalid
from payments.core.principal import Principal
from payments.stripe_api.service import Delivery
from payments.sync import queue
from payments.sync.apply import Sync
from payments.sync.dry_run import Rehearsal, rehearse_events
from payments.sync.inbox import StripeEvent
from payments.sync.queue import CHANNEL
from payments.sync.selection import Selection
from payments.sync.sorting import FETCH, Row, sort_in
from payments.sync.throttle import Throttle

PAGE: Final = 100
OURS: Final = ("fetch", "task")
"""Types of the rows that are wishes of our own, and no event of Stripe's."""


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
        dry_run: only tell what would differ, each page by itself.
        throttle: how quickly Stripe may be asked, in a dry run.

    Raises:
        Invalid: the selection names nothing.
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
        rehearsal=await rehearse_events(sync, wish.throttle, due) if wish.dry_run else None,
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


# Locked in one order, so that two replays wait for each other instead of both failing. A body may
# have been redacted since it was read.
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
    set resource = w.resource, object_id = w.object_id,
        lane = case when e.body is null then {FETCH} else w.lane end, not_before = now(),
        done_at = null, outcome = null, error = null, attempts = 0, generation = e.generation + 1
    from wanted w join held using (id)
    where e.id = w.id
    returning pg_notify('{CHANNEL}', '')
    """  # noqa: S608 - constants
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
