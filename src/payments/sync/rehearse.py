"""What applying observations would change, found by applying them and taking it all back."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Row, Table, func, literal, literal_column, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from payments.core.audit import AuditEntry
from payments.core.db import Base
from payments.sync.apply import Observation, Sync, apply_in, with_roots
from payments.sync.inbox import StripeEvent
from payments.sync.queue import Work
from payments.sync.switches import Switches

QUIET: Final = {"ticket", "updated_at", *Work.__annotations__} - {"id"}
"""Columns that say when and how often a row was looked at, not what it says."""

TOLD: Final = {StripeEvent.__table__, AuditEntry.__table__}

Wanted = set[tuple[str, str]]
"""Objects to fetch, by resource name and id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row as it is and as it would be: the columns that differ, as JSON; `before` is None for a
    row that would be new.
    """

    table: str
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any]


class _TakenBack(Exception):
    """Ends a transaction that only was to show what it does."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A row that the transaction wrote: its table, its key and what it says now."""

    table: Table
    key: Sequence[Any]
    says: dict[str, Any]


async def rehearse(
    sync: Sync, observations: Sequence[Observation], also: Collection[str] = ()
) -> tuple[list[Difference], Wanted]:
    """Apply observations as a worker does, and roll back: no row, message or notification stays.
    Effects that are paused are shown too: they would follow once they are resumed.

    Args:
        sync: what to work with.
        observations: what to apply.
        also: roots that are recomputed whatever is observed.

    Returns:
        The rows that would differ, mirrors and what follows from them, and the objects that would
        have to be fetched because a payload could not decide.
    """
    written: list[_Written] = []
    wanted: Wanted = set()
    sync = replace(sync, switches=Switches.ignored())

    async def work(tx: AsyncConnection, roots: set[str]) -> None:
        roots.update(also)
        await apply_in(tx, sync, observations, roots)
        written.extend([row for table in await _touched(tx) for row in await _rows(tx, table)])
        wanted.update(await _wanted(tx))
        raise _TakenBack

    with suppress(_TakenBack):
        await with_roots(sync.db, work)
    async with sync.db.transaction() as tx:
        found = [await _difference(tx, row) for row in written]
    return [difference for difference in found if difference is not None], wanted


async def _touched(tx: AsyncConnection) -> list[Table]:
    """Tables that this transaction may have written to, save those that tell what was done."""
    counted = text(
        "select schemaname || '.' || relname from pg_stat_xact_user_tables "
        "where n_tup_ins + n_tup_upd > 0"
    )
    names = set((await tx.execute(counted)).scalars())
    tables = (t for t in Base.metadata.sorted_tables if t not in TOLD)
    return [table for table in tables if f"{table.schema or 'public'}.{table.name}" in names]


def _says(table: Table) -> ColumnElement[Any]:
    row: ColumnElement[Any] = func.to_jsonb(literal_column(table.name))
    for column in table.columns:
        if column.name in QUIET:
            row = row.op("-", return_type=JSONB())(literal(column.name))
    return row


async def _rows(tx: AsyncConnection, table: Table) -> list[_Written]:
    ours = literal_column(f"{table.name}.xmin") == literal_column("pg_current_xact_id()::xid")
    key = list(table.primary_key)
    found = await tx.execute(select(*key, _says(table)).where(ours).order_by(*key))
    return [_Written(table, row[:-1], row[-1]) for row in found]


async def _wanted(tx: AsyncConnection) -> Iterable[tuple[str, str]]:
    """What was asked of the fetch lane in this transaction, whose time now() is."""
    wishes = select(StripeEvent.resource, StripeEvent.object_id).where(
        StripeEvent.type == "fetch", StripeEvent.received_at == func.now()
    )
    return [(str(resource), str(id)) for resource, id in await tx.execute(wishes)]


async def _difference(tx: AsyncConnection, row: _Written) -> Difference | None:
    key = tuple_(*row.table.primary_key) == tuple_(*map(literal, row.key))
    found: Row[Any] | None = (await tx.execute(select(_says(row.table)).where(key))).first()
    before = found[0] if found is not None else None
    after = row.says
    if before == after:
        return None
    changed = [name for name, value in after.items() if (before or {}).get(name) != value]
    return Difference(
        table=row.table.fullname,
        id=":".join(map(str, row.key)),
        before=None if before is None else {name: before.get(name) for name in changed},
        after={name: after[name] for name in changed},
    )
