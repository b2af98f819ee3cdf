"""An account as it is read: balance, lots, and the ledger a page at a time."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Invalid
from payments.domains.credits.schemas import Statement, shown_entry, shown_lot
from payments.domains.credits.tables import CreditAccount, CreditEntry, CreditLot

LOTS: Final = 100
CURSOR: Final = re.compile(r"ce_([1-9][0-9]{0,17})")


async def statement(
    tx: AsyncConnection, user: str, *, now: datetime, limit: int, starting_after: str | None
) -> Statement:
    """What a user has now and how it came about; nothing for whoever has no account.

    Raises:
        Invalid: the cursor is no entry of this account.
    """
    rows, more = await _entries(tx, user, limit=limit, starting_after=starting_after)
    lots = select(CreditLot).where(*_left(user, now)).limit(LOTS)
    use = lots.order_by(CreditLot.expires_at.asc().nulls_last(), CreditLot.id)
    debt = select(CreditAccount.debt).where(CreditAccount.user_id == user)
    return Statement(
        user_id=user,
        balance=await balance(tx, user, now=now),
        debt=(await tx.execute(debt)).scalar_one_or_none() or 0,
        lots=[shown_lot(row) for row in await tx.execute(use)],
        data=[shown_entry(row) for row in rows],
        has_more=more,
        url=f"/api/v1/financial/credits/{user}",
    )


async def balance(tx: AsyncConnection, user: str, *, now: datetime) -> int:
    """What a user may spend: a lot counts for nothing once its time is over."""
    total = select(func.sum(CreditLot.remaining)).where(*_left(user, now))
    return int((await tx.execute(total)).scalar_one() or 0)


def _left(user: str, now: datetime) -> tuple[Any, ...]:
    ahead = or_(CreditLot.expires_at.is_(None), CreditLot.expires_at > now)
    return CreditLot.user_id == user, CreditLot.remaining > 0, ahead


async def _entries(
    tx: AsyncConnection, user: str, *, limit: int, starting_after: str | None
) -> tuple[Sequence[Row[Any]], bool]:
    """The order of an account is that of its entries' numbers: its lock hands them out."""
    query = select(CreditEntry).where(CreditEntry.user_id == user)
    if starting_after is not None:
        named = CURSOR.fullmatch(starting_after)
        number = int(named[1]) if named else 0
        if (await tx.execute(query.where(CreditEntry.id == number))).first() is None:
            raise Invalid(f"starting_after names nothing: {starting_after!r}")
        query = query.where(CreditEntry.id < number)
    rows = (await tx.execute(query.order_by(CreditEntry.id.desc()).limit(limit + 1))).all()
    return rows[:limit], len(rows) > limit


async def caused_by(tx: AsyncConnection, source: str) -> list[Row[Any]]:
    """The entries that an act has led to, in their order."""
    query = select(CreditEntry).where(CreditEntry.cause == source).order_by(CreditEntry.id)
    return list((await tx.execute(query)).all())
