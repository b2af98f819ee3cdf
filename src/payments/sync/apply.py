"""The one writer of the mirrors: the version rule, then what follows from it.

The rule is (phase, ticket), the same for every resource and every source. A *phase* only grows
along an object's life. A *ticket* comes from one database sequence: before the request for an
answer of Stripe's, at the write for an event's payload. A payload of a higher phase is written; at
the same phase it only confirms, and if it differs the object is fetched. A fetch is written if its
(phase, ticket) is higher, and repeated if it is refused although it differs at the same phase.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.db import Clock, Database
from payments.stripe_api.service import StripeService
from payments.sync import inbox, switches
from payments.sync.resources import Registry, Resource, StripeObject
from payments.sync.switches import Switches

R = TypeVar("R")

LOCKS: Final = 1
"""First key of every advisory lock on a root; the second is its bucket."""


@dataclass(frozen=True)
class Sync:
    """What converging on Stripe needs; opened once per process."""

    db: Database
    stripe: StripeService
    registry: Registry
    clock: Clock
    livemode: bool
    switches: Switches = field(default_factory=Switches)


@dataclass(frozen=True, slots=True)
class Observation:
    """An object as Stripe gave it. `ticket` is None for an event's payload; an object that is gone
    is `{"id": …, "deleted": True}`.
    """

    resource: Resource
    object: StripeObject
    ticket: int | None

    @property
    def id(self) -> str:
        return str(self.object["id"])

    @property
    def gone(self) -> bool:
        return bool(self.object.get("deleted"))


class _MoreRoots(Exception):
    """The locks taken do not cover what was found behind them: start again with these."""

    def __init__(self, roots: set[str]) -> None:
        self.roots = roots


async def locked(tx: AsyncConnection, roots: Collection[str]) -> None:
    """Take the locks of all roots in one statement, in one order, in 1,024 buckets."""
    await tx.execute(
        text(
            f"""
            select pg_advisory_xact_lock({LOCKS}, bucket) from (
                select distinct hashtext(root) & 1023 as bucket
                from unnest(cast(:roots as text[])) as root order by 1
            ) as buckets
            """  # noqa: S608 - a constant
        ),
        {"roots": sorted(roots)},
    )


# Connections keep plans. One made while a table was nearly empty reads all of it, and goes on to
# until the server looks at the table again, which may have grown by 100,000 rows by then. Up to
# PostgreSQL 17 a plan without that choice counts as so dear that the server compiles it each time,
# for 0.2 s.
_BY_INDEX: Final = text(
    "select set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
)


async def with_roots(db: Database, work: Callable[[AsyncConnection, set[str]], Awaitable[R]]) -> R:
    """Run `work` in a transaction, again with more roots for as long as it finds more to lock."""
    roots: set[str] = set()
    while True:
        try:
            async with db.transaction() as tx:
                await tx.execute(_BY_INDEX)
                return await work(tx, roots)
        except _MoreRoots as more:
            roots |= more.roots


async def apply(
    sync: Sync, observations: Sequence[Observation], done: Collection[inbox.Claimed] = ()
) -> None:
    """Write observations, recompute what depends on them and finish the rows they came from."""

    async def work(tx: AsyncConnection, roots: set[str]) -> None:
        await apply_in(tx, sync, observations, roots)
        await inbox.finish(tx, done)

    await with_roots(sync.db, work)


async def apply_in(
    tx: AsyncConnection, sync: Sync, observations: Sequence[Observation], roots: set[str]
) -> None:
    """The same inside a transaction that `with_roots` has opened."""
    now = sync.clock.now()
    latest, doubtful = merge(observations)
    observed = by_resource(latest)
    roots |= await _roots(tx, sync, observed)
    await locked(tx, roots)
    # A refund may have waited for the lock behind the payment that says whose it is, and a row may
    # have moved from one reference to another.
    found = await _roots(tx, sync, observed)
    if not found <= roots:
        raise _MoreRoots(found)
    for resource in sync.registry.resources:
        if of_it := [o for o in latest if o.resource is resource]:
            refused = await _write(tx, sync, of_it, now)
            doubtful |= {(resource, id) for id in refused}
    if await sync.switches.paused(tx, "effects"):
        await switches.hold_back(tx, roots)
    else:
        for settle in sync.registry.settles:
            await settle(tx, frozenset(roots), now)
    await inbox.request_fetches(tx, doubtful)


def by_resource(observations: Iterable[Observation]) -> dict[str, list[StripeObject]]:
    found: dict[str, list[StripeObject]] = {}
    for observation in observations:
        found.setdefault(observation.resource.name, []).append(observation.object)
    return found


async def _roots(
    tx: AsyncConnection, sync: Sync, observed: dict[str, list[StripeObject]]
) -> set[str]:
    found: set[str] = set()
    for roots_of in sync.registry.roots:
        found |= await roots_of(tx, observed)
    return found


def merge(
    observations: Iterable[Observation],
) -> tuple[list[Observation], set[tuple[Resource, str]]]:
    """One observation an object and source: an upsert must not meet the same row twice. Payloads
    that contradict each other in one phase are no help in choosing; those objects are fetched.
    """
    latest: dict[tuple[str, str, bool], Observation] = {}
    doubtful: set[tuple[Resource, str]] = set()
    for new in observations:
        key = (new.resource.name, new.id, new.ticket is None)
        old = latest.setdefault(key, new)
        if old is new:
            continue
        if new.ticket is None and not _same(old, new) and _order(old) == _order(new):
            doubtful.add((new.resource, new.id))
        if _order(new) > _order(old):
            latest[key] = new
            doubtful.discard((new.resource, new.id))
    return list(latest.values()), doubtful


def _order(o: Observation) -> tuple[int, int]:
    return (0 if o.gone else o.resource.phase(o.object)), o.ticket or 0


def _same(a: Observation, b: Observation) -> bool:
    return a.resource.read(a.object) == b.resource.read(b.object)


async def _write(
    tx: AsyncConnection, sync: Sync, observations: Sequence[Observation], now: datetime
) -> set[str]:
    """Upsert observations of one resource; return the ids refused although they differ."""
    refused: set[str] = set()
    for payload in (True, False):
        rows = [_row(o, sync) for o in observations if (o.ticket is None) is payload and not o.gone]
        if not rows:
            continue
        resource = observations[0].resource
        bound = {"rows": orjson.dumps(rows).decode(), "now": now}
        written = set((await tx.execute(_upsert(resource, payload=payload), bound)).scalars())
        if left := [row for row in rows if row["id"] not in written]:
            bound = {"rows": orjson.dumps(left).decode()}
            refused |= set((await tx.execute(_differing(resource), bound)).scalars())
    for observation in observations:
        if observation.gone and await _bury(tx, sync, observation, now):
            refused.add(observation.id)
    return refused


def _row(observation: Observation, sync: Sync) -> dict[str, Any]:
    resource, object = observation.resource, observation.object
    return {
        "id": object["id"],
        "livemode": object.get("livemode", sync.livemode),
        "phase": resource.phase(object),
        "ticket": observation.ticket,
        "deleted": False,
        "created_at": timestamp(object.get("created")) or datetime.fromtimestamp(0, UTC),
        **resource.read(object),
    }


def timestamp(seconds: int | None) -> datetime | None:
    """Stripe's times are whole seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


@cache
def _upsert(resource: Resource, *, payload: bool) -> TextClause:
    table = resource.relation
    watched = resource.watched
    columns = ("id", "livemode", "phase", "created_at", *watched)
    old, new = (", ".join(f"{source}.{name}" for name in watched) for source in ("t", "excluded"))
    differs = f"({old}) is distinct from ({new})"
    rule = (
        f"t.phase < excluded.phase or (t.phase = excluded.phase and not ({differs}))"
        if payload
        else "(t.phase, t.ticket) < (excluded.phase, excluded.ticket)"
    )
    ticket = "nextval('stripe.ticket')" if payload else "r.ticket"
    return text(
        f"""
        insert into {table} as t ({", ".join(columns)}, ticket, account, updated_at)
        select {", ".join(f"r.{name}" for name in columns)}, {ticket},
               coalesce((select account from installation), ''), :now
        from jsonb_populate_recordset(null::{table}, cast(:rows as jsonb)) as r order by r.id
        on conflict (id) do update set
            {", ".join(f"{name} = excluded.{name}" for name in (*columns[1:], "ticket"))},
            updated_at = case when {differs} then excluded.updated_at else t.updated_at end
        where {rule}
        returning t.id
        """  # noqa: S608 - names come from our own tables, values are bound
    )


@cache
def _differing(resource: Resource) -> TextClause:
    table = resource.relation
    old, new = (", ".join(f"{source}.{name}" for name in resource.watched) for source in ("t", "r"))
    return text(
        f"""
        select t.id from {table} as t
        join jsonb_populate_recordset(null::{table}, cast(:rows as jsonb)) as r using (id)
        where t.phase = r.phase and ({old}) is distinct from ({new})
        """  # noqa: S608 - as above
    )


async def _bury(tx: AsyncConnection, sync: Sync, observation: Observation, now: datetime) -> bool:
    """Mark an object as deleted at Stripe, known or not; its row stays for what refers to it.
    Return whether a later answer says that it lives, so that it has to be looked at again.
    """
    table = observation.resource.relation
    buried = await tx.execute(
        text(
            f"""
            insert into {table} as t
                (id, livemode, phase, ticket, deleted, account, created_at, updated_at)
            values (:id, :livemode, 0, :ticket, true,
                    coalesce((select account from installation), ''), :now, :now)
            on conflict (id) do update set deleted = true, ticket = :ticket, updated_at = :now
            where t.ticket < :ticket
            returning t.id
            """  # noqa: S608 - as above
        ),
        {
            "id": observation.id,
            "livemode": sync.livemode,
            "ticket": observation.ticket,
            "now": now,
        },
    )
    if buried.first() is not None:
        return False
    lives = f"select 1 from {table} where id = :id and not deleted"  # noqa: S608 - as above
    return (await tx.execute(text(lives), {"id": observation.id})).first() is not None
