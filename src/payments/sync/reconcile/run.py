"""Carrying out reconciliations: those that were asked for, and one a night."""

from datetime import time, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from payments.core.audit import SYSTEM
from payments.core.db import AWAY, Database
from payments.core.errors import Invalid
from payments.core.telemetry import DRIFT, RECONCILED
from payments.sync.account import compare, identify
from payments.sync.apply import Sync
from payments.sync.chores import Chore
from payments.sync.reconcile.runs import Round, Wish, begin, close, give_up, held, request
from payments.sync.reconcile.sweep import likely, sweep
from payments.sync.reconcile.tables import Drift, Reconciliation
from payments.sync.throttle import Throttle

TAKEN_EVERY: Final = timedelta(seconds=15)


def ensure_sound(sync: Sync, wish: Wish) -> None:
    """Refuse what cannot be reconciled.

    Raises:
        Invalid: a time that lies ahead, or a name that is none, with those that there are.
    """
    if wish.since > sync.clock.now():
        raise Invalid(
            f"since: {wish.since.isoformat()} lies in the future; send a time that is past"
        )
    known = [r.name for r in sync.registry.resources] + [c.name for c in sync.registry.checks]
    if unknown := set(wish.resources) - set(known):
        raise Invalid(
            f"resources: nothing is called {', '.join(sorted(unknown))}; "
            f"there are {', '.join(known)}"
        )


async def carry_out(round: Round) -> None:
    """Compare all that the run is to compare, and say how it ended.

    Raises:
        WrongAccount: the key belongs to another account than the rows.
        Problem: Stripe could not be asked.
    """
    sync = round.sync
    try:
        async with held(round):
            await compare(sync.db, await identify(sync.stripe), livemode=sync.livemode)
            for resource in sync.registry.resources:
                if round.wants(resource.name):
                    await sweep(round, resource)
            for check in sync.registry.checks:
                if round.wants(check.name):
                    await check.run(round)
    except Exception as exc:
        await give_up(round, exc)
        raise
    await close(round)


async def expected(round: Round) -> dict[str, int | None]:
    """By name, how much a run is likely to look at; None where nobody can say."""
    found: dict[str, int | None] = {}
    async with round.sync.db.transaction() as tx:
        for resource in filter(lambda r: round.wants(r.name), round.sync.registry.resources):
            found[resource.name] = await likely(tx, round, resource)
    return found | {c.name: None for c in round.sync.registry.checks if round.wants(c.name)}


async def carry_out_due(ctx: Any) -> None:
    """Carry out what was requested, the longest due first. Half of the rate stays with events."""
    while round := await begin(ctx.sync, Throttle(ctx.settings.stripe_rate / 2)):
        await carry_out(round)


async def request_nightly(ctx: Any) -> None:
    """Request a run of everything, unless last night's still waits. It reaches back to the last
    night that was completed, if that is longer ago than RECONCILE_DAYS; what others have asked for
    may have looked at less.
    """
    waiting = select(Reconciliation.id).where(
        Reconciliation.requested_by == SYSTEM, Reconciliation.not_before.is_not(None)
    )
    since = ctx.clock.now() - timedelta(days=ctx.settings.reconcile_days)
    async with ctx.db.transaction() as tx:
        if (await tx.execute(waiting)).first() is None:
            last = (await tx.execute(_LAST)).scalar_one()
            wish = Wish(since=min(since, last or since), heal=ctx.settings.reconcile_heal)
            await request(tx, wish, by=SYSTEM)


_COMPLETE: Final = (
    Reconciliation.outcome == "done",
    func.cardinality(Reconciliation.resources) == 0,
)
_LAST: Final = select(func.max(Reconciliation.began_at)).where(
    Reconciliation.requested_by == SYSTEM, *_COMPLETE
)

CHORES: Final = (
    Chore(name="request_reconciliation", run=request_nightly, at=time(3)),
    Chore(name="reconcile", run=carry_out_due, every=TAKEN_EVERY),
)


async def measure(db: Database) -> None:
    """Set the gauges to what the last complete run has said; without a database they stay."""
    latest = (
        select(Reconciliation.id, Reconciliation.done_at)
        .where(*_COMPLETE)
        .order_by(Reconciliation.done_at.desc())
        .limit(1)
    )
    try:
        async with db.transaction() as tx:
            run = (await tx.execute(latest)).first()
            if run is None:
                return
            left = select(Drift.resource, func.count()).where(
                Drift.reconciliation == run.id, ~Drift.healed
            )
            rows = (await tx.execute(left.group_by(Drift.resource))).all()
    except AWAY:
        return
    RECONCILED.set(run.done_at.timestamp())
    DRIFT.clear()
    for resource, count in rows:
        DRIFT.labels(resource=resource).set(count)
