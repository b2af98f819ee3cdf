"""Lists in Stripe's shape: newest first, keyset by `starting_after`, never an offset."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel
from sqlalchemy import ColumnElement, FromClause, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Invalid
from payments.core.schemas import ObjectId

T = TypeVar("T", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=100, description="how many objects, at most")]
StartingAfter = Annotated[
    ObjectId | None, Query(description="the id that the last page ended with")
]


class Page(BaseModel, Generic[T]):
    """One page of a list; pass the last id as `starting_after` while `has_more`."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool
    url: str


async def page(
    tx: AsyncConnection,
    query: Select[Any],
    table: FromClause,
    *,
    limit: int,
    starting_after: str | None,
    visible: Select[Any],
) -> tuple[Sequence[Any], bool]:
    """Rows of `query`, newest first, and whether there are more.

    Args:
        tx: the transaction to read in.
        query: what is listed, filters included.
        table: what it lists; it has `id` and `created_at`.
        limit: how many rows, at most.
        starting_after: the id that the last page ended with.
        visible: what this caller may see, filters aside; a cursor names one of these.

    Raises:
        Invalid: the cursor names nothing that this caller may see.
    """
    key = (table.c.created_at, table.c.id)
    if starting_after is not None:
        named = visible.with_only_columns(*key).where(table.c.id == starting_after)
        cursor = (await tx.execute(named)).first()
        if cursor is None:
            raise Invalid(f"starting_after names nothing: {starting_after!r}")
        before: ColumnElement[bool] = tuple_(*key) < tuple_(*cursor)
        query = query.where(before)
    ordered = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)
    rows = (await tx.execute(ordered)).all()
    return rows[:limit], len(rows) > limit
