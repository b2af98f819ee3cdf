"""GET and PUT /customers/{user_id}."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Ctx
from payments.core import errors
from payments.core.errors import Forbidden, NotFound
from payments.core.principal import Authenticated
from payments.core.schemas import Body, ObjectId
from payments.domains.customers.linking import Claim, CustomerId, link
from payments.domains.customers.tables import Customer, CustomerLink
from payments.stripe_api import dashboard

router = APIRouter(prefix="/customers", tags=["customers"])


class CustomerUpdate(Body):
    """The customer at Stripe that a user is."""

    stripe_customer_id: CustomerId = Field(examples=["cus_NffrFeUfNV2Hib"])
    take_over: bool = Field(
        default=False,
        description="from an admin: another user's link to this customer was a mistake; it ends",
    )


class CustomerOut(BaseModel):
    """Who a user is at Stripe."""

    user_id: str = Field(examples=["u-1"])
    stripe_customer_id: str = Field(examples=["cus_NffrFeUfNV2Hib"])
    email: str | None = Field(description="as Stripe has it", examples=["jenny@example.com"])
    deleted: bool = Field(description="at Stripe; the next payment makes a new customer")
    linked_at: datetime
    dashboard_url: str | None = Field(description="for admins")


@router.get(
    "/{user_id}",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def read_customer(user_id: ObjectId, ctx: Ctx, who: Authenticated) -> CustomerOut:
    """Which customer a user is at Stripe: one's own for a user, any for service and admin."""
    if not who.sees(user_id):
        raise NotFound(f"user {user_id!r} is no customer yet")
    async with ctx.db.transaction() as tx:
        found = await _customer(tx, user_id)
    if who.role == "admin":
        found.dashboard_url = dashboard.page(
            f"customers/{found.stripe_customer_id}", live=ctx.settings.live
        )
    return found


@router.put(
    "/{user_id}",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.Conflict,
        errors.BodyTooLarge, errors.Invalid, errors.StripeRejected, errors.StripeFailed,
        errors.StripeBusy, errors.StripeTimeout,
    ),
)  # fmt: skip
async def link_customer(
    user_id: ObjectId, body: CustomerUpdate, ctx: Ctx, who: Authenticated
) -> CustomerOut:
    """Link a user to a customer that exists at Stripe, for service and admin. The customer's
    payments are the user's from now on; those under an earlier link stay his.
    """
    if not who.privileged:
        raise Forbidden("only a service or an admin may link customers")
    if body.take_over and who.role != "admin":
        raise Forbidden("only an admin may send take_over")
    claim = Claim(user_id=user_id, customer=body.stripe_customer_id, take_over=body.take_over)
    await link(ctx, claim, who=who)
    return await read_customer(user_id, ctx, who)


async def _customer(tx: AsyncConnection, user_id: str) -> CustomerOut:
    query = (
        select(CustomerLink, Customer.email.label("now"), Customer.deleted)
        .outerjoin(Customer, Customer.id == CustomerLink.stripe_customer_id)
        .where(
            CustomerLink.user_id == user_id,
            CustomerLink.replaced_at.is_(None),
            CustomerLink.stripe_customer_id.is_not(None),
        )
    )
    row = (await tx.execute(query)).first()
    if row is None:
        raise NotFound(f"user {user_id!r} is no customer yet")
    return CustomerOut(
        user_id=row.user_id,
        stripe_customer_id=row.stripe_customer_id,
        email=row.now or row.email,
        deleted=bool(row.deleted),
        linked_at=row.reserved_at,
        dashboard_url=None,
    )
