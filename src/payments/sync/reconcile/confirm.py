"""Confirming what looks like drift: fetched again by id, noted, and healed if that is wished."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.db import is_outage
from payments.core.errors import StripeBusy
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync import queue
from payments.sync.apply import Observation, apply
from payments.sync.observe import look
from payments.sync.process import FETCH_BATCH
from payments.sync.reconcile.compare import Mismatch, awaited, mismatches
from payments.sync.reconcile.runs import Round
from payments.sync.reconcile.tables import Drift
from payments.sync.resources import Resource

GRACE_SECONDS: Final = 15.0
"""What has changed at Stripe a moment ago is announced within these, as a rule."""

MOST_BURIED: Final = 10
"""So many, or a hundredth of the living rows, may be marked as deleted in one run."""

Doubts = Mapping[str, int | None]
"""Ids of objects whose rows look wrong, and the tickets that these rows had; None without a row."""

UNDELETABLE: Final = (
    "Stripe has no such object, and none of its kind is ever deleted: another key made it, or test "
    "data was cleared"
)
TOO_MANY: Final = "too many at once are missing at Stripe; look at them before they are buried"


async def look_at(round: Round, resource: Resource, ids: Collection[str]) -> list[Observation]:
    """Fetch objects. What Stripe does not have is an answer here, of whatever kind it is."""

    async def one(id: str) -> Observation:
        while True:
            await round.throttle.turn()
            try:
                return await look(round.sync, resource, id)
            except StripeObjectMissing:
                return Observation(resource, {"id": id, "deleted": True}, None)
            except StripeBusy:
                round.throttle.slow_down()

    answers = await asyncio.gather(*map(one, ids), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if isinstance(answer, Observation)]


async def confirm(round: Round, resource: Resource, doubts: Doubts) -> None:
    """Note what is drift among these, and heal it where that is wished."""
    if not doubts:
        return
    await asyncio.sleep(GRACE_SECONDS)
    ids = list(doubts)
    for start in range(0, len(ids), FETCH_BATCH):
        seen = {o.id: o for o in await look_at(round, resource, ids[start : start + FETCH_BATCH])}
        async with round.sync.db.transaction() as tx:
            waiting = await awaited(tx, seen)
            drift = [
                found
                for found in await mismatches(tx, resource, list(seen.values()))
                if found.ticket == doubts[found.id] and found.id not in waiting
            ]
            for found in drift:
                await note_drift(tx, round, resource.name, found)
        for found in drift:
            if round.wish.heal and found.stripes is not None:
                await _heal(round, resource, seen[found.id])


async def note_drift(tx: AsyncConnection, round: Round, name: str, found: Mismatch) -> None:
    """Write down a row that differs, under the name of its resource or of the check."""
    row = {
        "id": _key(round, name, found.id),
        "reconciliation": round.id,
        "resource": name,
        "object_id": found.id,
        "kind": found.kind,
        **{side: value for side, value in found.sides.items() if value is not None},
    }
    await tx.execute(insert(Drift).values(row).on_conflict_do_nothing())


def _key(round: Round, name: str, id: str) -> str:
    return f"{round.id}:{name}:{id}"


async def conclude(
    tx: AsyncConnection, round: Round, name: str, id: str, *, healed: bool, remark: str | None
) -> None:
    """Write down what became of a row that differed."""
    row = Drift.id == _key(round, name, id)
    await tx.execute(update(Drift).where(row).values(healed=healed, remark=remark))


async def applied(round: Round, seen: Collection[Observation]) -> str | None:
    """Apply observations by the one writer; return why that cannot be done, if it cannot."""
    try:
        await apply(round.sync, list(seen))
    except Exception as exc:
        if is_outage(exc):
            raise
        return queue.reason(exc)
    return None


async def _heal(round: Round, resource: Resource, seen: Observation) -> None:
    """Apply one object. Only what the writer has taken, or what is newer still, is healed."""
    remark = await applied(round, [seen])
    query = text(f"select ticket from {resource.relation} where id = :id")  # noqa: S608 - a table of ours
    async with round.sync.db.transaction() as tx:
        ticket = (await tx.execute(query, {"id": seen.id})).scalar_one_or_none() or 0
        healed = remark is None and ticket >= (seen.ticket or 0)
        if not healed and remark is None:
            remark = (
                "the row claims to be further on than Stripe's object, so it is not overwritten"
            )
        await conclude(tx, round, resource.name, seen.id, healed=healed, remark=remark)


async def bury(round: Round, resource: Resource) -> None:
    """Mark as deleted what this run did not find at Stripe, unless that is suspiciously much."""
    query = select(Drift.object_id).where(
        Drift.reconciliation == round.id,
        Drift.resource == resource.name,
        Drift.kind == "missing_at_stripe",
    )
    living = text(f"select count(*) from {resource.relation} where not deleted")  # noqa: S608 - as above
    async with round.sync.db.transaction() as tx:
        missing = list((await tx.execute(query)).scalars())
        most = max(MOST_BURIED, (await tx.execute(living)).scalar_one() // 100)
    if not missing:
        return
    refusal = None if resource.deletable else UNDELETABLE
    refusal = refusal or (TOO_MANY if len(missing) > most else None)
    if refusal is None and round.wish.heal:
        for seen in await look_at(round, resource, missing):
            await _heal(round, resource, seen)
        return
    for id in missing:
        async with round.sync.db.transaction() as tx:
            await conclude(tx, round, resource.name, id, healed=False, remark=refusal)
