"""GET /stripe/switches, PUT /stripe/switches/{name}: stopping effects, messages or refunds."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from payments.context import Ctx
from payments.core import errors
from payments.core.paging import Page
from payments.core.principal import Authenticated, ensure_admin
from payments.core.schemas import Body
from payments.sync import switches
from payments.sync.switches import Name

router = APIRouter(prefix="/stripe/switches", tags=["switches"])


class SwitchOut(BaseModel):
    """A kill switch."""

    model_config = ConfigDict(from_attributes=True)

    name: Name
    paused: bool
    paused_at: datetime | None
    paused_by: str | None = Field(examples=["admin-1"])
    reason: str | None = Field(examples=["wrong prices were published"])
    waiting: int = Field(description="what follows once this is resumed: roots, or messages")


class SwitchUpdate(Body):
    """Where to put a switch, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"paused": True, "reason": "wrong prices"}]}
    )

    paused: bool
    reason: str | None = Field(None, max_length=500, description="shown to whoever is refused")


@router.get("", responses=errors.problems(errors.Unauthenticated, errors.Forbidden))
async def list_switches(ctx: Ctx, who: Authenticated) -> Page[SwitchOut]:
    """What is paused, since when, by whom and why. For admins."""
    ensure_admin(who, "switches are for admins")
    async with ctx.db.transaction() as tx:
        data = [SwitchOut.model_validate(state) for state in await switches.states(tx)]
    return Page(data=data, has_more=False, url="/api/v1/stripe/switches")


@router.put(
    "/{name}",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.BodyTooLarge, errors.Invalid
    ),
)
async def turn_switch(name: Name, body: SwitchUpdate, ctx: Ctx, who: Authenticated) -> SwitchOut:
    """Pause or resume, in all processes within a second. For admins.

    `effects`: payments are followed as always; bookings stay as they are and nobody is told, until
    both are made up. `messages`: they are kept, and sent later. `refunds`: new ones are refused
    with 503; those that were accepted before are carried out.
    """
    ensure_admin(who, "switches are for admins")
    async with ctx.db.transaction() as tx:
        turn = switches.pause if body.paused else switches.resume
        await turn(tx, who, name, reason=body.reason, now=ctx.clock.now())
        states = {state.name: state for state in await switches.states(tx)}
    ctx.sync.switches.forget()
    return SwitchOut.model_validate(states[name])
