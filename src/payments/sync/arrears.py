"""Arrears: what would have followed while effects were paused follows once they are resumed."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select

from payments.core.db import is_outage
from payments.core.telemetry import alert
from payments.sync import queue, switches
from payments.sync.apply import Sync, apply_in, locked
from payments.sync.chores import Chore
from payments.sync.switches import Arrear, Switches

BATCH: Final = 100


async def make_up(ctx: Any) -> None:
    """Recompute all arrears in the order of their names. One that fails keeps nothing from the
    others; it stays, is told, and is tried again at the next turn.
    """
    after = ""
    while roots := await _next(ctx.sync, after):
        after = roots[-1]
        try:
            await _recompute(ctx.sync, roots)
        except Exception as exc:
            if is_outage(exc):
                raise
            for root in roots:
                await _alone(ctx.sync, root)


async def _next(sync: Sync, after: str) -> Sequence[str]:
    query = select(Arrear.root).where(Arrear.root > after).order_by(Arrear.root).limit(BATCH)
    async with sync.db.transaction() as tx:
        if await switches.paused(tx, "effects") is not None:
            return []
        return (await tx.execute(query)).scalars().all()


async def _alone(sync: Sync, root: str) -> None:
    try:
        await _recompute(sync, [root])
    except Exception as exc:
        if is_outage(exc):
            raise
        alert("arrear", "what a payment causes failed", root=root, error=queue.reason(exc))


async def _recompute(sync: Sync, roots: Collection[str]) -> None:
    """Behind its lock the mirrors of a root stand still, and whoever holds it back again waits."""
    heedless = replace(sync, switches=Switches.ignored())
    async with sync.db.transaction() as tx:
        await locked(tx, roots)
        await tx.execute(delete(Arrear).where(Arrear.root.in_(roots)))
        await apply_in(tx, heedless, (), set(roots))


CHORE: Final = Chore(name="arrears", run=make_up, every=timedelta(minutes=1))
