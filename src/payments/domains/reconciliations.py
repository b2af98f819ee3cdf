"""POST, GET /stripe/reconciliations: comparing what is here with Stripe, and what came of it."""

from datetime import datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Ctx
from payments.core import audit, errors, idempotency, paging
from payments.core.errors import NotFound
from payments.core.idempotency import Idempotent, KeyReused
from payments.core.paging import Page
from payments.core.principal import Authenticated, ensure_admin
from payments.core.schemas import Body, Moment, ObjectId
from payments.sync.reconcile.run import CHORES, ensure_sound
from payments.sync.reconcile.runs import Wish, request
from payments.sync.reconcile.tables import Drift, Kind, State, listed
from payments.sync.selection import Names

__all__ = ["CHORES", "router"]

router = APIRouter(prefix="/stripe/reconciliations", tags=["reconciliations"])


class ReconciliationCreate(Body):
    """What to compare with Stripe."""

    since: Moment | None = Field(
        None, description="objects made since then; RECONCILE_DAYS ago when left out"
    )
    resources: Names = Field([], description="`refund`, `balance` …; all when left out")
    heal: bool = Field(default=False, description="write what Stripe says over what differs")


class ReconciliationOut(BaseModel):
    """One run. `broken_off` and `failed` runs of a worker are tried again."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["reconciliation"] = "reconciliation"
    id: str = Field(examples=["rec_5d1c0f0e2b6a4c5e"])
    state: State
    requested_by: str = Field(description="`system` for the nightly one")
    since: datetime
    resources: list[str] = Field(description="none are all")
    heal: bool
    looked: dict[str, int] = Field(description="what was compared so far, by resource")
    drift: int = Field(description="rows that differed")
    left: int = Field(description="those that still do")
    attempts: int = Field(description="how often it failed by its own fault")
    error: str | None = Field(description="why it failed last")
    created_at: datetime
    began_at: datetime | None
    done_at: datetime | None


class DriftOut(BaseModel):
    """A row that differed: the columns in question, here and at Stripe."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["drift"] = "drift"
    id: str
    resource: str = Field(examples=["refund"])
    object_id: str = Field(examples=["re_1"])
    kind: Kind
    ours: dict[str, Any] | None = Field(description="null for what is missing here")
    stripes: dict[str, Any] | None = Field(description="null for what is missing at Stripe")
    healed: bool
    remark: str | None = Field(description="why it was not healed")
    created_at: datetime


class ReconciliationRead(ReconciliationOut):
    """One run with the rows that differed."""

    rows: Page[DriftOut]


READING_FAILS = errors.problems(
    errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.Invalid
)


@router.post(
    "",
    status_code=202,
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.InFlight, errors.BodyTooLarge,
        errors.Invalid, KeyReused,
    ),
)  # fmt: skip
async def create_reconciliation(
    body: ReconciliationCreate, ctx: Ctx, who: Authenticated, key: Idempotent
) -> ReconciliationOut:
    """Have a worker compare what is stored here with Stripe; look at the run until it is done. For
    admins.
    """
    ensure_admin(who, "reconciliations are for admins")
    now = ctx.clock.now()
    since = body.since or now - timedelta(days=ctx.settings.reconcile_days)
    wish = Wish(since=since, resources=body.resources, heal=body.heal)
    ensure_sound(ctx.sync, wish)
    async with idempotency.held(ctx.db, key), ctx.db.transaction() as tx:
        id = await idempotency.claim(tx, key, now=now)
        if id is None:
            id = await request(tx, wish, by=who.user_id)
            asked = body.model_dump(mode="json", exclude_defaults=True)
            await audit.record(tx, who, act="reconciliation.requested", subject=id, **asked)
            await idempotency.bind(tx, key, id, done=True)
        return ReconciliationOut.model_validate(await _one(tx, id))


@router.get("", responses=READING_FAILS)
async def list_reconciliations(
    ctx: Ctx,
    who: Authenticated,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> Page[ReconciliationOut]:
    """The runs that were requested, newest first. For admins."""
    ensure_admin(who, "reconciliations are for admins")
    runs = listed()
    query = select(runs)
    async with ctx.db.transaction() as tx:
        rows, more = await paging.page(
            tx, query, runs, limit=limit, starting_after=starting_after, visible=query
        )
    data = [ReconciliationOut.model_validate(row) for row in rows]
    return Page(data=data, has_more=more, url=f"/api/v1{router.prefix}")


@router.get("/{id}", responses=READING_FAILS)
async def read_reconciliation(
    id: ObjectId,
    ctx: Ctx,
    who: Authenticated,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> ReconciliationRead:
    """One run, and a page of the rows that differed. For admins."""
    ensure_admin(who, "reconciliations are for admins")
    drift = Drift.__table__
    query = select(drift).where(Drift.reconciliation == id)
    async with ctx.db.transaction() as tx:
        run = ReconciliationOut.model_validate(await _one(tx, id))
        rows, more = await paging.page(
            tx, query, drift, limit=limit, starting_after=starting_after, visible=query
        )
    data = [DriftOut.model_validate(row) for row in rows]
    page: Page[DriftOut] = Page(data=data, has_more=more, url=f"/api/v1{router.prefix}/{id}")
    return ReconciliationRead(**run.model_dump(), rows=page)


async def _one(tx: AsyncConnection, id: str) -> Any:
    runs = listed()
    if (row := (await tx.execute(select(runs).where(runs.c.id == id))).first()) is None:
        raise NotFound(f"there is no reconciliation {id!r}")
    return row
