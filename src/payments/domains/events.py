"""GET /stripe/events, POST /stripe/events/replay: what Stripe sent, and applying it anew."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from payments.context import Ctx
from payments.core import errors, paging
from payments.core.paging import Page
from payments.core.principal import Authenticated, ensure_admin
from payments.core.schemas import ObjectId
from payments.sync import replay
from payments.sync.replay import PAGE, Replay
from payments.sync.selection import Selection, State, listed
from payments.sync.throttle import Throttle

router = APIRouter(prefix="/stripe/events", tags=["events"])


class Event(BaseModel):
    """A row of the inbox: an event that Stripe sent, or a wish of this service's own."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["evt_1"])
    type: str = Field(examples=["payment_intent.succeeded"])
    object_id: str | None = Field(examples=["pi_1"])
    state: State
    attempts: int = Field(description="how often it failed by its own fault")
    error: str | None
    received_at: datetime
    done_at: datetime | None


class EventsListed(Selection):
    """What is listed; everything, if nothing is said."""

    limit: int = Field(10, ge=1, le=100)
    starting_after: ObjectId | None = Field(None, description="the id the last page ended with")


class ReplayCreate(Selection):
    """Which events to apply anew, the oldest first; name at least one thing about them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": ["dead"], "dry_run": True}]}
    )

    dry_run: bool = Field(default=False, description="change nothing; say what would differ")
    limit: int = Field(PAGE, ge=1, le=PAGE)
    starting_after: ObjectId | None = Field(None, description="`last` of the last page")


class DifferenceOut(BaseModel):
    """A row that would change: the columns that differ."""

    model_config = ConfigDict(from_attributes=True)

    table: str = Field(examples=["bookings"])
    id: str
    before: dict[str, Any] | None = Field(description="null for a row that would be new")
    after: dict[str, Any]


class FailureOut(BaseModel):
    """An object that cannot be applied still."""

    model_config = ConfigDict(from_attributes=True)

    object_id: str
    error: str


class RehearsalOut(BaseModel):
    """What a dry run found."""

    model_config = ConfigDict(from_attributes=True)

    differences: list[DifferenceOut]
    failures: list[FailureOut]
    untried: list[str] = Field(description="tasks that no dry run can try: they write to Stripe")


class ReplayOut(BaseModel):
    """One page of a replay; pass `last` as `starting_after` while `has_more`."""

    model_config = ConfigDict(from_attributes=True)

    object: Literal["replay"] = "replay"
    events: list[str] = Field(description="that workers apply now; in a dry run, that they would")
    ignored: list[str] = Field(description="whose type nobody follows")
    last: str | None
    has_more: bool
    rehearsal: RehearsalOut | None = Field(description="of a dry run alone")


@router.get("", responses=errors.problems(errors.Unauthenticated, errors.Forbidden, errors.Invalid))
async def list_events(
    ctx: Ctx, who: Authenticated, query: Annotated[EventsListed, Query()]
) -> Page[Event]:
    """What came into the inbox, newest first. For admins."""
    ensure_admin(who, "events are for admins")
    events = listed(query)
    async with ctx.db.transaction() as tx:
        rows, more = await paging.page(
            tx,
            select(events),
            events,
            limit=query.limit,
            starting_after=query.starting_after,
            visible=select(listed(Selection())),
        )
    data = [Event.model_validate(row) for row in rows]
    return Page(data=data, has_more=more, url="/api/v1/stripe/events")


@router.post(
    "/replay",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.BodyTooLarge, errors.Invalid,
        errors.StripeRejected, errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
    ),
)  # fmt: skip
async def replay_events(body: ReplayCreate, ctx: Ctx, who: Authenticated) -> ReplayOut:
    """Apply events anew, after a fault was mended for instance; with `dry_run`, only say which rows
    would differ. For admins.
    """
    ensure_admin(who, "events are for admins")
    wish = Replay(
        who=who,
        selection=Selection(**body.model_dump(include=set(Selection.model_fields))),
        dry_run=body.dry_run,
        throttle=Throttle(ctx.settings.stripe_rate),
    )
    page = await replay.replay(ctx.sync, wish, limit=body.limit, starting_after=body.starting_after)
    return ReplayOut.model_validate(page)
