"""Tables whose rows are work: held by one worker, given back with a growing delay, dead in the end,
never lost. The inbox and the outbox are two of them.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Protocol

import structlog
from sqlalchemy import Integer, func, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.core.telemetry import mask

log = structlog.get_logger(__name__)

CHANNEL: Final = "stripe_events"
"""What is notified when there is work."""

LEASE_SECONDS: Final = 60
DEAD_ATTEMPTS: Final = 12
DEAD_HOURS: Final = 72
PATIENCE: Final = 2

DEAD: Final = "dead"
LOCK: Final = "order by not_before limit :limit for update skip locked"
"""How a claim ends: the rows due for longest, those that another worker holds aside."""


class Work(Base):
    """What every such table has. `not_before` is lease, backoff and schedule in one column, null
    once there is nothing left to do.
    """

    __abstract__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    not_before: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    generation: Mapped[int] = mapped_column(Integer, server_default="0")
    error: Mapped[str | None]


class Held(Protocol):
    """A row as a worker claimed it."""

    @property
    def id(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def generation(self) -> int: ...


async def lease(tx: AsyncConnection, table: type[Work], rows: Collection[Held]) -> None:
    """Keep claimed rows from others after this commit, for as long as the work may take."""
    await tx.execute(
        text(
            f"update {table.__tablename__} "  # noqa: S608 - a table of ours
            "set not_before = now() + make_interval(secs => :s) where id = any(:ids)"
        ),
        {"s": LEASE_SECONDS, "ids": [row.id for row in rows]},
    )


async def finish(
    tx: AsyncConnection, table: type[Work], rows: Collection[Held], outcome: str
) -> None:
    """Mark rows done, unless the same has been asked for anew meanwhile."""
    await tx.execute(
        text(
            f"""
            update {table.__tablename__} t
            set done_at = now(), not_before = null, error = null, outcome = :outcome
            from unnest(cast(:ids as text[]), cast(:generations as int[])) as d(id, generation)
            where t.id = d.id and t.generation = d.generation
            """  # noqa: S608 - as above
        ),
        {
            "outcome": outcome,
            "ids": [row.id for row in rows],
            "generations": [row.generation for row in rows],
        },
    )


def reason(exc: BaseException) -> str:
    """What went wrong, as it may be kept: without secrets, and storable."""
    return str(mask(f"{type(exc).__name__}: {exc}"))[:2000].replace("\0", "")


_POSTPONE: Final = """
    with fate as (
        select id, :exhausted and received_at < now() - make_interval(hours => :hours) as dead
        from {table} where id = :id
    )
    update {table} t set attempts = :attempts, error = :error,
        outcome = case when dead then 'dead' end,
        not_before = case when not dead then now() + make_interval(secs => :wait) end
    from fate where t.id = fate.id and generation = :generation and not_before is not null
    returning outcome
"""


async def postpone(
    tx: AsyncConnection,
    table: type[Work],
    row: Held,
    exc: BaseException,
    *,
    own_fault: bool,
    patience: int = PATIENCE,
) -> bool:
    """Give a row back; return whether it is dead now.

    Args:
        tx: the transaction to write in.
        table: whose row it is.
        row: as it was claimed.
        exc: what went wrong; its text is kept without secrets.
        own_fault: it counts as an attempt. After 12 of them and 72 h the row is dead: kept and
            replayable. A fault of a network or a server is no attempt.
        patience: seconds until the next try after a fault that was not the row's own.
    """
    attempts = row.attempts + own_fault
    wait = min(2**attempts, 3600) if own_fault else patience
    bound = {
        "attempts": attempts,
        "error": reason(exc),
        "exhausted": attempts >= DEAD_ATTEMPTS,
        "hours": DEAD_HOURS,
        "wait": wait,
        "id": row.id,
        "generation": row.generation,
    }
    query = text(_POSTPONE.format(table=table.__tablename__))
    if (await tx.execute(query, bound)).scalar_one_or_none() == DEAD:
        return True
    log.warning("postponed", id=row.id, wait=wait, attempts=attempts, error=bound["error"])
    return False


async def revive(tx: AsyncConnection, table: type[Work], ids: Collection[str]) -> list[str]:
    """Give dead rows a new life, all of them when none are named; return which had died."""
    query = f"""
        update {table.__tablename__}
        set not_before = now(), received_at = now(), outcome = null, error = null, attempts = 0,
            generation = generation + 1
        where outcome = 'dead' and (id = any(:ids) or cardinality(cast(:ids as text[])) = 0)
        returning id
    """  # noqa: S608 - a table of ours
    revived = list((await tx.execute(text(query), {"ids": list(ids)})).scalars())
    await tx.execute(text(f"select pg_notify('{CHANNEL}', '')"))
    return revived
