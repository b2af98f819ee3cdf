"""The timetable: runs each chore when it is due, in one worker at a time however many there are."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database, is_outage
from payments.core.telemetry import alert
from payments.sync.chores import Chore
from payments.sync.process import own_fault
from payments.sync.queue import LEASE_SECONDS, reason

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
HEARTBEAT_SECONDS: Final = LEASE_SECONDS / 3
AGAIN_AFTER: Final = timedelta(minutes=5)
"""How long a chore that failed rests, if it is not due earlier anyway."""


class ChoreRow(Base):
    """When a chore is due, who holds it until when, and how it went last."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    held_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]


async def keep(ctx: Any, chores: Sequence[Chore], stop: asyncio.Event) -> None:
    """Run whatever is due until `stop` is set; then what runs is cut short, and due at once for
    another worker.
    """
    await enter(ctx, chores)
    running: dict[str, asyncio.Task[None]] = {}
    try:
        while not stop.is_set():
            running = {name: task for name, task in running.items() if not task.done()}
            for chore in await _claimed(ctx, [c for c in chores if c.name not in running]):
                running[chore.name] = asyncio.create_task(_run(ctx, chore))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def enter(ctx: Any, chores: Sequence[Chore]) -> None:
    """Write down when each chore is due first, where that is not known yet."""
    now = ctx.clock.now()
    rows = [
        {"name": c.name, "due_at": c.due_after(now, ctx.settings.zone) if c.at else now}
        for c in chores
    ]
    if rows:
        async with ctx.db.transaction() as tx:
            await tx.execute(insert(ChoreRow).on_conflict_do_nothing(), rows)


_CLAIM: Final = text(
    """
    with due as (
        select name from chores
        where name = any(:names) and due_at <= :now
          and (held_until is null or held_until < now())
        order by name for update skip locked
    )
    update chores c
    set held_until = now() + make_interval(secs => :lease), started_at = :now
    from due where c.name = due.name
    returning c.name
    """
)


async def _claimed(ctx: Any, chores: Sequence[Chore]) -> list[Chore]:
    """The due chores that nobody else holds; none while the database is away."""
    bound = {"names": [c.name for c in chores], "now": ctx.clock.now(), "lease": LEASE_SECONDS}
    try:
        async with ctx.db.transaction() as tx:
            names = set((await tx.execute(_CLAIM, bound)).scalars())
    except Exception as exc:
        if not is_outage(exc):
            raise
        return []
    return [chore for chore in chores if chore.name in names]


async def _run(ctx: Any, chore: Chore) -> None:
    """Run a chore that was claimed, holding it meanwhile, and write down how it went."""
    holding = asyncio.create_task(_hold(ctx.db, chore))
    try:
        await chore.run(ctx)
    except asyncio.CancelledError:
        await _give_back(ctx, chore)
        raise
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is told, and tried again
        await _note(ctx, chore, exc)
    else:
        await _note(ctx, chore, None)
    finally:
        holding.cancel()


async def _hold(db: Database, chore: Chore) -> None:
    """Keep other workers off for as long as this one lives. Without a database nobody else can
    claim it either.
    """
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with suppress(OSError, TimeoutError, DBAPIError):
            await _write(db, chore, held_until=func.now() + timedelta(seconds=LEASE_SECONDS))


async def _note(ctx: Any, chore: Chore, failure: Exception | None) -> None:
    now = ctx.clock.now()
    due = chore.due_after(now, ctx.settings.zone)
    if failure is None:
        outcome: dict[str, Any] = {"due_at": due, "done_at": now, "error": None}
    else:
        outcome = {"due_at": min(due, now + AGAIN_AFTER), "error": reason(failure)}
        log.warning("a chore failed", chore=chore.name, reason=outcome["error"])
        if own_fault(failure):
            alert("chore_failed", "a chore failed", chore=chore.name, error=outcome["error"])
    with suppress(OSError, TimeoutError, DBAPIError):  # else the lease ends, and it is done again
        await _write(ctx.db, chore, held_until=None, **outcome)


async def _give_back(ctx: Any, chore: Chore) -> None:
    with suppress(OSError, TimeoutError, DBAPIError):
        await _write(ctx.db, chore, held_until=None)


async def _write(db: Database, chore: Chore, **values: Any) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(ChoreRow).where(ChoreRow.name == chore.name).values(**values))
