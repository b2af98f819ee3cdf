"""GET /financial/credits/{user_id}, and adding and spending credits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4, uuid5

import orjson
from fastapi import APIRouter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context, Ctx
from payments.core import audit, errors, idempotency, paging
from payments.core.errors import Conflict, Forbidden, NotFound
from payments.core.idempotency import Idempotent, KeyReused, Repeatable
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import ObjectId
from payments.core.telemetry import CREDIT_SHORTFALLS
from payments.domains.credits.ledger import Grant, InsufficientCredits, Note, grant, spend
from payments.domains.credits.schemas import CreditsMove, Moved, Statement, shown_act
from payments.domains.credits.statement import caused_by, statement
from payments.domains.credits.tables import root_of
from payments.sync.apply import locked

router = APIRouter(prefix="/financial/credits", tags=["credits"])

REFERENCES: Final = UUID("6f0f3c1e-7c0b-4d0e-9a51-2f6d3c3f8a10")
"""The space in which a caller's reference becomes an id of ours."""

Work = Callable[[AsyncConnection, str, Note], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants done to an account."""

    user: str
    act: Literal["manual", "spend"]
    body: CreditsMove
    who: Principal

    def source(self) -> str:
        """The act's name: another each time, but the same for the same reference."""
        said = orjson.dumps([self.act, self.user, self.body.reference]).decode()
        id = uuid5(REFERENCES, said) if self.body.reference is not None else uuid4()
        return f"{self.act}:{id}"

    def note(self, now: datetime) -> Note:
        reason, reference = self.body.reason, self.body.reference
        return Note(now=now, principal=self.who.user_id, reference=reference, reason=reason)


@router.get(
    "/{user_id}",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def read_credits(
    user_id: ObjectId,
    ctx: Ctx,
    who: Authenticated,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> Statement:
    """Balance, lots and ledger: one's own for a user, anybody's for service and admin."""
    _ensure_sees(who, user_id)
    async with ctx.db.transaction() as tx:
        return await statement(
            tx, user_id, now=ctx.clock.now(), limit=limit, starting_after=starting_after
        )


@router.post(
    "/{user_id}/add",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.Conflict, errors.InFlight,
        errors.BodyTooLarge, errors.Invalid, KeyReused,
    ),
)  # fmt: skip
async def add_credits(
    user_id: ObjectId, body: CreditsMove, ctx: Ctx, who: Authenticated, key: Idempotent
) -> Moved:
    """Give credits that do not end; for service and admin."""
    if not who.privileged:
        raise Forbidden("only a service or an admin may add credits")

    async def add(tx: AsyncConnection, source: str, note: Note) -> None:
        given = Grant(source=source, credits=body.amount, credit_type="manual")
        await grant(tx, user_id, given, note)
        await audit.record(
            tx, who, act="credits.added", subject=user_id, reason=body.reason, amount=body.amount,
            source=source,
        )  # fmt: skip

    return await _once(ctx, Asked(user_id, "manual", body, who), key, add)


@router.post(
    "/{user_id}/spend",
    responses=errors.problems(
        errors.Unauthenticated, errors.NotFound, errors.Conflict, InsufficientCredits,
        errors.InFlight, errors.BodyTooLarge, errors.Invalid, KeyReused,
    ),
)  # fmt: skip
async def spend_credits(
    user_id: ObjectId, body: CreditsMove, ctx: Ctx, who: Authenticated, key: Idempotent
) -> Moved:
    """Spend credits: one's own for a user, anybody's for service and admin. What ends first is used
    first; where there are fewer than wanted, none are.
    """
    _ensure_sees(who, user_id)

    async def use(tx: AsyncConnection, source: str, note: Note) -> None:
        await spend(tx, user_id, source, body.amount, note)

    try:
        return await _once(ctx, Asked(user_id, "spend", body, who), key, use)
    except InsufficientCredits:
        CREDIT_SHORTFALLS.inc()
        raise


def _ensure_sees(who: Principal, user_id: str) -> None:
    if not who.sees(user_id):
        raise NotFound(f"there is no credit account of {user_id!r}")


async def _once(ctx: Context, asked: Asked, key: Repeatable | None, work: Work) -> Moved:
    """Do it, unless it was done under the same key or reference; say what it has moved."""
    now = ctx.clock.now()
    async with ctx.db.transaction() as tx:
        await locked(tx, [root_of(asked.user)])
        source = await idempotency.claim(tx, key, now=now) or asked.source()
        rows = await caused_by(tx, source)
        if rows:
            _ensure_same(rows, source, asked)
        else:
            await work(tx, source, asked.note(now))
            rows = await caused_by(tx, source)
        await idempotency.bind(tx, key, source, done=True)
    return shown_act(rows, source)


def _ensure_same(rows: list[Row[Any]], source: str, asked: Asked) -> None:
    moved = abs(sum(row.amount for row in rows if row.source == source))
    if moved != asked.body.amount:
        raise Conflict(
            f"reference {asked.body.reference!r} stands for {moved} credits already; send another "
            "reference for another act"
        )
