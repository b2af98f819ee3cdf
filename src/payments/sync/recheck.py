"""Recheck: whether all that follows from the mirrors stands as it would be computed today."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from sqlalchemy import select

from payments.sync.apply import Sync
from payments.sync.rehearse import Difference, rehearse
from payments.sync.resources import Resource

BATCH: Final = 200
"""Rows whose roots are locked together, as briefly as those of a batch of events."""


async def recheck(sync: Sync) -> AsyncIterator[tuple[int, list[Difference]]]:
    """Recompute the roots of every mirrored row, and take it back.

    Yields:
        How many rows were looked at, and what should stand otherwise.
    """
    for resource in sync.registry.resources:
        table = resource.table.__table__
        async for rows in sync.db.walk(select(table), by=table.c.id, size=BATCH):
            roots = await _roots(sync, resource, [row._asdict() for row in rows])
            differences, _ = await rehearse(sync, [], roots)
            yield len(rows), differences


async def _roots(sync: Sync, resource: Resource, rows: list[Mapping[str, Any]]) -> set[str]:
    """What these rows concern. A mirror's columns have Stripe's names, so a row passes for an
    object that says no more of itself than what is mirrored.
    """
    async with sync.db.transaction() as tx:
        found = [await of(tx, {resource.name: rows}) for of in sync.registry.roots]
    return set().union(*found)
