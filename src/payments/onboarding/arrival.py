"""Waiting for an event to come here and to be applied."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, select

from payments.context import Context
from payments.sync.inbox import StripeEvent

LOOK_EVERY: Final = timedelta(milliseconds=250)


async def arrival(ctx: Context, patience: timedelta, *which: ColumnElement[bool]) -> Any:
    """The event's row of the inbox once it is finished, or as it is when patience has ended; None
    where there is none by then.
    """
    query = select(StripeEvent.id, StripeEvent.outcome, StripeEvent.error).where(*which)
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    while True:
        async with ctx.db.transaction() as tx:
            seen = (await tx.execute(query)).first()
        if seen is not None and seen.outcome is not None:
            return seen
        if asyncio.get_running_loop().time() >= deadline:
            return seen
        await asyncio.sleep(LOOK_EVERY.total_seconds())
