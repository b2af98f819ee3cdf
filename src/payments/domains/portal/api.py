"""POST /stripe/portal-link, GET /stripe/customer-portal: a link for each click."""

from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, Field

from payments.context import Context, Ctx
from payments.core import audit, errors, idempotency
from payments.core.errors import Forbidden, Problem, Unavailable
from payments.core.idempotency import Idempotent, KeyReused, Repeatable
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import Body, ObjectId
from payments.domains import customers
from payments.domains.checkout.redirects import allowed
from payments.domains.portal.configuration import configurations, is_ours
from payments.stripe_api.service import options

router = APIRouter(prefix="/stripe", tags=["portal"])


class PortalNotConfigured(Unavailable):
    """The customer portal is not set up at Stripe."""

    code = "portal_not_configured"


class PortalLinkCreate(Body):
    """Where the portal leads back to, and, from a service or an admin, whose it is."""

    return_url: str | None = Field(
        None, max_length=2000, description="on one of FRONTEND_URLS; the first one when left out"
    )
    user_id: str | None = Field(None, min_length=1, max_length=200)


class PortalLinkOut(BaseModel):
    """Where to send the customer, at once: Stripe lets the link expire shortly if it is not used,
    and who holds it acts as the customer.
    """

    url: str = Field(examples=["https://billing.stripe.com/p/session/test_YWNjdF8x"])
    return_url: str


CAUSES = (
    errors.Unauthenticated, errors.Forbidden, errors.Conflict, errors.InFlight,
    errors.Invalid, errors.StripeRejected, errors.StripeFailed, errors.StripeBusy,
    PortalNotConfigured, errors.StripeTimeout,
)  # fmt: skip


@router.post("/portal-link", responses=errors.problems(*CAUSES, KeyReused, errors.BodyTooLarge))
async def create_portal_link(
    body: PortalLinkCreate, ctx: Ctx, who: Authenticated, key: Idempotent
) -> PortalLinkOut:
    """A link to Stripe's portal, where customers keep their cards and read their invoices. Ask for
    one when the customer clicks; do not store it.
    """
    async with idempotency.held(ctx.db, key):
        click = await _click(ctx, key)
        try:
            return await _link(
                ctx, who, user_id=body.user_id, return_url=body.return_url, click=click
            )
        except Problem as exc:
            if exc.answered:  # Stripe would replay its error: the next try is another click
                await _bind_click(ctx, key)
            raise


async def _click(ctx: Context, key: Repeatable | None) -> str:
    """Each click is another session at Stripe; a repeated request is the same click."""
    async with ctx.db.transaction() as tx:
        earlier = await idempotency.claim(tx, key, now=ctx.clock.now())
    return earlier or await _bind_click(ctx, key)


async def _bind_click(ctx: Context, key: Repeatable | None) -> str:
    async with ctx.db.transaction() as tx:
        await idempotency.bind(tx, key, click := uuid4().hex)
    return click


@router.get("/customer-portal", responses=errors.problems(*CAUSES))
async def read_customer_portal(
    ctx: Ctx, who: Authenticated, return_url: str | None = None, user_id: ObjectId | None = None
) -> PortalLinkOut:
    """The same as `POST /stripe/portal-link`."""
    return await _link(ctx, who, user_id=user_id, return_url=return_url, click=uuid4().hex)


async def _link(
    ctx: Context, who: Principal, *, user_id: str | None, return_url: str | None, click: str
) -> PortalLinkOut:
    owner = user_id or who.user_id
    if not who.sees(owner):
        raise Forbidden("only a service or an admin may send user_id")
    back = allowed(ctx.settings, "return_url", return_url) or ctx.settings.frontends[0]
    configuration = await _configuration(ctx)

    async def open_for(customer: str) -> PortalLinkOut:
        key = options(f"portal:{click}:{customer}:{configuration}")
        session = await ctx.stripe.call(
            lambda c: c.v1.billing_portal.sessions.create_async(
                {"customer": customer, "return_url": back, "configuration": configuration}, key
            )
        )
        if owner != who.user_id:
            async with ctx.db.transaction() as tx:
                await audit.record(tx, who, act="portal.opened", subject=customer, user_id=owner)
        return PortalLinkOut(url=session.object["url"], return_url=session.object["return_url"])

    email = who.email if owner == who.user_id else None
    return await customers.with_customer(ctx, open_for, user_id=owner, email=email)


async def _configuration(ctx: Context) -> str:
    """The account's default, which the merchant keeps in Stripe's dashboard; else ours.

    Raises:
        PortalNotConfigured: there is neither.
    """
    ours = None
    async for found in configurations(ctx, active=True):
        if found["is_default"]:
            return str(found["id"])
        ours = ours or (str(found["id"]) if is_ours(found) else None)
    if ours is None:
        raise PortalNotConfigured("the customer portal is not set up: run `payments setup`")
    return ours
