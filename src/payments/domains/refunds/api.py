"""POST /stripe/refund, GET /stripe/refunds."""

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Select, Text, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Ctx
from payments.core import errors, paging
from payments.core.errors import NotFound
from payments.core.idempotency import Idempotent, KeyReused
from payments.core.paging import Page
from payments.core.principal import Authenticated, Principal, ensure_admin
from payments.core.schemas import ObjectId
from payments.domains.customers import users_customers
from payments.domains.payables import Offered
from payments.domains.refunds.making import OPEN
from payments.domains.refunds.requesting import request_refund
from payments.domains.refunds.schemas import RefundCreate, RefundOut, State, shown
from payments.domains.refunds.tables import REFUNDS, RefundRequest
from payments.stripe_api.failures import StripeObjectMissing


class ExactRequest(Request):
    """A request whose JSON numbers keep the decimals that were sent."""

    async def json(self) -> Any:
        return json.loads(await self.body(), parse_float=Decimal)


class ExactRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handler(ExactRequest(request.scope, request.receive))

        return exact


router = APIRouter(prefix="/stripe", tags=["refunds"], route_class=ExactRoute)

READING_FAILS = errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid)


@router.post(
    "/refund",
    responses={
        202: {"model": RefundOut, "description": "Stripe has not said yet; look at it again"},
        **errors.problems(
            errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.Conflict,
            errors.InFlight, StripeObjectMissing, errors.BodyTooLarge, errors.Invalid, KeyReused,
            errors.StripeRejected, errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
        ),
    },
)  # fmt: skip
async def create_refund(
    body: RefundCreate, response: Response, ctx: Ctx, who: Authenticated, key: Idempotent
) -> RefundOut:
    """Give a payment back, whole or in part; for admins. What is reserved here is never given back
    twice: 202 means that Stripe's answer is outstanding and will be found out.
    """
    ensure_admin(who, "only an admin may refund")
    id = await request_refund(ctx, body, who, key)
    async with ctx.db.transaction() as tx:
        found = shown(await _one(tx, select(REFUNDS), str(id)))
    if found.status in OPEN:
        response.status_code = 202
    return found


@router.get("/refunds", responses=READING_FAILS)
async def list_refunds(
    ctx: Ctx,
    who: Authenticated,
    payables: Offered,
    payment_id: Annotated[ObjectId | None, Query(description="of one payment")] = None,
    booking_id: Annotated[ObjectId | None, Query(description="a booking's id or reference")] = None,
    status: Annotated[State | None, Query()] = None,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> Page[RefundOut]:
    """Refunds, newest first, wherever they were made: one's own for a user, all for service and
    admin.
    """
    async with ctx.db.transaction() as tx:
        seen = query = visible(who)
        if booking_id is not None:
            booking = await payables["booking"].locate(tx, id=booking_id, principal=who)
            query = query.where(REFUNDS.c.booking_id == booking)
        if payment_id is not None:
            query = query.where(REFUNDS.c.payment_id == payment_id)
        if status is not None:
            query = query.where(REFUNDS.c.status == status)
        rows, more = await paging.page(
            tx,
            query,
            REFUNDS,
            limit=limit,
            visible=seen,
            starting_after=await _cursor(tx, starting_after),
        )
    data = [shown(row, remarks=who.privileged) for row in rows]
    return Page(data=data, has_more=more, url="/api/v1/stripe/refunds")


@router.get("/refunds/{id}", responses=READING_FAILS)
async def read_refund(id: ObjectId, ctx: Ctx, who: Authenticated) -> RefundOut:
    """One refund, by Stripe's id or by the request's."""
    async with ctx.db.transaction() as tx:
        return shown(await _one(tx, visible(who), id), remarks=who.privileged)


def visible(who: Principal) -> Select[Any]:
    """All for service and admin; for a customer what Stripe has made of requests, not the requests
    themselves.
    """
    query = select(REFUNDS)
    if who.privileged:
        return query
    return query.where(
        REFUNDS.c.customer.in_(users_customers(who.user_id)),
        REFUNDS.c.id.is_distinct_from(REFUNDS.c.request_id),
    )


async def _cursor(tx: AsyncConnection, id: str | None) -> str | None:
    """A request's id stays a place in the list when the request has become a refund."""
    query = select(RefundRequest.stripe_id).where(cast(RefundRequest.id, Text) == id)
    return (await tx.execute(query)).scalar_one_or_none() or id


async def _one(tx: AsyncConnection, query: Select[Any], id: str) -> Any:
    found = await tx.execute(query.where(or_(REFUNDS.c.id == id, REFUNDS.c.request_id == id)))
    if (row := found.first()) is None:
        raise NotFound(f"there is no refund {id!r}")
    return row
