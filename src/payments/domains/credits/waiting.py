"""What time brings to credits: lots end, and grants that wait meet their user."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.db import Database
from payments.core.telemetry import alert
from payments.domains.credits.ledger import Grant, Note, expire, grant
from payments.domains.credits.tables import CreditLot, WaitingGrant, root_of
from payments.domains.customers import CustomerLink, user_of
from payments.sync.apply import locked
from payments.sync.chores import Chore

BATCH: Final = 100
ALERT_AFTER: Final = timedelta(hours=24)


async def grant_to_customer(tx: AsyncConnection, customer: str, given: Grant, note: Note) -> None:
    """`grant` for whoever a Stripe customer is. While nobody is, it waits, and a changed number
    replaces the one that waits.

    The caller holds the root of the user, if there is one.
    """
    if (user := await user_of(tx, customer)) is not None:
        await tx.execute(delete(WaitingGrant).where(WaitingGrant.source == given.source))
        await grant(tx, user, given, note)
        return
    changing = {"credits": given.credits, "expires_at": given.expires_at}
    row = insert(WaitingGrant).values(
        source=given.source, customer=customer, credit_type=given.credit_type,
        basis=dict(given.basis), metadata_=dict(note.metadata), since=note.now, **changing,
    )  # fmt: skip
    await tx.execute(row.on_conflict_do_update(index_elements=[WaitingGrant.source], set_=changing))


async def tend(ctx: Any) -> None:
    """What is due now; each account in a transaction of its own."""
    now = ctx.clock.now()
    await _end_lots(ctx.db, now)
    await _grant_waiting(ctx.db, now)
    await _tell_waiting(ctx.db, now)


async def _end_lots(db: Database, now: datetime) -> None:
    ended = select(CreditLot.user_id).where(CreditLot.remaining > 0, CreditLot.expires_at <= now)
    async for rows in db.walk(ended.distinct(), by=CreditLot.user_id, size=BATCH):
        for row in rows:
            async with db.transaction() as tx:
                await locked(tx, [root_of(row.user_id)])
                await expire(tx, row.user_id, now)


async def _grant_waiting(db: Database, now: datetime) -> None:
    linked = select(CustomerLink.stripe_customer_id)
    met = select(WaitingGrant).where(WaitingGrant.customer.in_(linked))
    async for rows in db.walk(met, by=WaitingGrant.source, size=BATCH):
        for row in rows:
            async with db.transaction() as tx:
                await _grant_one(tx, row, now)


async def _grant_one(tx: AsyncConnection, found: Row[Any], now: datetime) -> None:
    if (user := await user_of(tx, found.customer)) is None:
        return
    await locked(tx, [root_of(user)])
    query = select(WaitingGrant).where(WaitingGrant.source == found.source).with_for_update()
    if (row := (await tx.execute(query)).first()) is None:
        return
    names = ("source", "credits", "credit_type", "expires_at", "basis")
    given = Grant(**{name: getattr(row, name) for name in names})
    await grant_to_customer(tx, row.customer, given, Note(now=now, metadata=row.metadata))


async def _tell_waiting(db: Database, now: datetime) -> None:
    """Say once of each grant that nobody has come for it."""
    long = WaitingGrant.alerted_at.is_(None) & (WaitingGrant.since <= now - ALERT_AFTER)
    told = (
        update(WaitingGrant)
        .where(long, WaitingGrant.credits > 0)
        .values(alerted_at=now)
        .returning(WaitingGrant)
    )
    async with db.transaction() as tx:
        rows = (await tx.execute(told)).all()
    for row in rows:
        alert(
            "credits_waiting",
            "credits were paid for by a customer who is no user here; link him",
            customer=row.customer,
            source=row.source,
            credits=row.credits,
        )


CHORE: Final = Chore(name="credits", run=tend, every=timedelta(minutes=1))
