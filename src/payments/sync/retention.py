"""Retention: what has served its time is blotted out or removed, every night, in small batches."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import idempotency
from payments.core.schemas import EPOCH
from payments.settings import Settings
from payments.sync.chores import Chore

log = structlog.get_logger(__name__)

BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long something is kept.

    Attributes:
        what: its name, for people.
        table: whose rows.
        age: the column that dates them.
        keep: how long.
        over: SQL; a row that may go.
        blot: SQL assignments that leave the row without what is private; else it is removed.
    """

    what: str
    table: str
    age: str
    keep: Callable[[Settings], timedelta]
    over: str = "true"
    blot: str | None = None


def bodies(settings: Settings) -> timedelta:
    return timedelta(days=settings.retention_bodies_days)


def events(settings: Settings) -> timedelta:
    return timedelta(days=settings.retention_events_days)


# Work is over once it is done: what waits, and what died and may be replayed, is kept. A message's
# row stays for good, so that its cause is not told a second time.
RULES: Final = (
    Rule(
        what="event bodies", table="stripe_events", age="received_at", keep=bodies,
        over="done_at is not null and body is not null", blot="body = null",
    ),
    Rule(
        what="events", table="stripe_events", age="received_at", keep=events,
        over="done_at is not null",
    ),
    Rule(
        what="message contents", table="outbox", age="received_at", keep=bodies,
        over="done_at is not null and (recipient is not null or facts <> '{}')",
        blot="facts = '{}', recipient = null, delivered = '{}'",
    ),
    Rule(
        what="drift contents", table="reconciliation_drift", age="created_at", keep=bodies,
        over="(ours is not null or stripes is not null)", blot="ours = null, stripes = null",
    ),
    Rule(
        what="reconciliations", table="reconciliations", age="received_at", keep=events,
        over="not_before is null",
    ),
    Rule(what="calls to Stripe", table="stripe_calls", age="at", keep=events),
    Rule(
        what="idempotency keys", table="idempotency_keys", age="created_at",
        keep=lambda _: idempotency.KEPT,
    ),
)  # fmt: skip


async def retain(ctx: Any) -> dict[str, int]:
    """Blot out and remove what is old; return how many rows of each kind. Cut short, it is simply
    begun again.
    """
    return {rule.what: await _enforce(ctx, rule) for rule in RULES}


async def count(ctx: Any) -> dict[str, int]:
    """How many rows `retain` would change now, by kind."""
    found = {}
    async with ctx.db.transaction() as tx:
        for rule in RULES:
            query = f"select count(*) from {rule.table} where {_old(rule)}"  # noqa: S608 - constants
            bound = {"before": _before(ctx, rule)}
            found[rule.what] = int((await tx.execute(text(query), bound)).scalar_one())
    return found


async def run(ctx: Any) -> None:
    log.info("retention", rows=await retain(ctx))


CHORE: Final = Chore(name="retention", run=run, at=time(3, 30))


def _old(rule: Rule) -> str:
    return f"{rule.age} < :before and {rule.over}"


def _before(ctx: Any, rule: Rule) -> datetime:
    now: datetime = ctx.clock.now()
    return now - rule.keep(ctx.settings)


async def _enforce(ctx: Any, rule: Rule) -> int:
    """From the oldest on, each batch from where the last one ended: what is blotted out already is
    passed by once.
    """
    bound = {"before": _before(ctx, rule), "since": EPOCH, "limit": BATCH}
    changed = 0
    while True:
        async with ctx.db.transaction() as tx:
            ages = await _batch(tx, rule, bound)
        changed += len(ages)
        if len(ages) < BATCH:
            return changed
        bound["since"] = max(ages)


async def _batch(tx: AsyncConnection, rule: Rule, bound: dict[str, Any]) -> list[datetime]:
    """A row that changes meanwhile has another place (`ctid`) by then; it is left for next time."""
    change = f"update {rule.table} set {rule.blot}"  # noqa: S608 - constants of the rules above
    remove = f"delete from {rule.table}"  # noqa: S608 - the same
    query = f"""
        {change if rule.blot else remove} where ctid = any(array(
            select ctid from {rule.table} where {_old(rule)} and {rule.age} >= :since
            order by {rule.age} limit :limit for update skip locked))
        returning {rule.age}
    """  # noqa: S608 - the same
    return list((await tx.execute(text(query), bound)).scalars())
