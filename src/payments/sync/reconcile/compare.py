"""Comparing rows of a mirror with objects that Stripe has just named."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.db import Database
from payments.sync.apply import Observation
from payments.sync.reconcile.tables import Kind
from payments.sync.resources import Resource

Side = Mapping[str, Any] | None
"""The columns that differ, as JSON; None where there is nothing."""

AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A row that is not what Stripe says. `ticket` is the row's; None where there is no row."""

    id: str
    ticket: int | None
    ours: Side
    stripes: Side

    @property
    def sides(self) -> dict[str, Side]:
        return {"ours": self.ours, "stripes": self.stripes}

    @property
    def kind(self) -> Kind:
        if self.ours is None:
            return "missing_here"
        return "differs" if self.stripes is not None else "missing_at_stripe"


async def mismatches(
    tx: AsyncConnection, resource: Resource, seen: Sequence[Observation]
) -> list[Mismatch]:
    """The rows of these objects that differ in a column that Stripe announces."""
    living = [{"id": o.id, "deleted": False, **resource.read(o.object)} for o in seen if not o.gone]
    found = await tx.execute(_differing(resource), {"rows": orjson.dumps(living).decode()})
    different = [_mismatch(resource, row) for row in found]
    gone = [o.id for o in seen if o.gone]
    buried = await tx.execute(_buried(resource), {"ids": gone})
    return different + [Mismatch(id, ticket, {"deleted": False}, None) for id, ticket in buried]


def _mismatch(resource: Resource, row: Any) -> Mismatch:
    columns = _columns(resource)
    if row.ours is None:
        return Mismatch(row.id, None, None, {name: row.stripes[name] for name in columns})
    differ = [name for name in columns if row.ours[name] != row.stripes[name]]
    ours, stripes = ({name: side[name] for name in differ} for side in (row.ours, row.stripes))
    return Mismatch(row.id, row.ticket, ours, stripes)


def _columns(resource: Resource) -> list[str]:
    return [name for name in resource.watched if name not in resource.unannounced]


@cache
def _differing(resource: Resource) -> TextClause:
    table = resource.relation
    old, new = (", ".join(f"{side}.{name}" for name in _columns(resource)) for side in ("t", "r"))
    return text(
        f"""
        select r.id, t.ticket, case when t.id is not null then to_jsonb(t) end as ours,
               to_jsonb(r) as stripes
        from jsonb_populate_recordset(null::{table}, cast(:rows as jsonb)) as r
        left join {table} t on t.id = r.id
        where t.id is null or ({old}) is distinct from ({new})
        order by r.id
        """  # noqa: S608 - names come from our own tables, values are bound
    )


@cache
def _buried(resource: Resource) -> TextClause:
    living = f"select id, ticket from {resource.relation} where id = any(:ids) and not deleted"  # noqa: S608 - as above
    return text(living)


async def unnamed(
    db: Database, resource: Resource, ids: Collection[str], *, since: datetime, until: datetime
) -> AsyncIterator[dict[str, int]]:
    """Tickets of living rows, by id, of a time of which Stripe has named all that it has: these.

    Args:
        db: where the rows are.
        resource: whose rows.
        ids: what Stripe has named.
        since: the first moment of that time.
        until: the first moment after it.
    """
    query = text(
        f"""
        select id, ticket, created_at from {resource.relation}
        where not deleted and created_at >= :since and created_at < :until
          and (created_at, id) > (:since, :after) and id <> all(:ids)
        order by created_at, id limit {AT_ONCE}
        """  # noqa: S608 - as above
    )
    place = {"since": since, "after": ""}
    while True:
        async with db.transaction() as tx:
            rows = (await tx.execute(query, {**place, "until": until, "ids": list(ids)})).all()
        if rows:
            yield {row.id: row.ticket for row in rows}
        if len(rows) < AT_ONCE:
            return
        place = {"since": rows[-1].created_at, "after": rows[-1].id}


async def awaited(tx: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Those of these objects that the inbox has still something about."""
    query = text(
        "select object_id from stripe_events where object_id = any(:ids) and not_before is not null"
    )
    return set((await tx.execute(query, {"ids": list(ids)})).scalars())
