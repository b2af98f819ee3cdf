"""GET /stripe/payments/{id}/timeline."""

from typing import Annotated

from fastapi import APIRouter, Query

from payments.context import Ctx
from payments.core import errors
from payments.core.principal import Authenticated
from payments.core.schemas import ObjectId
from payments.domains.payables import Offered
from payments.domains.timeline.schemas import Timeline
from payments.domains.timeline.telling import explain

router = APIRouter(prefix="/stripe", tags=["payments"])

NEWEST = 200


@router.get(
    "/payments/{id}/timeline",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def read_timeline(
    ctx: Ctx,
    who: Authenticated,
    payables: Offered,
    id: ObjectId,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="how many entries, at most; the newest")
    ] = NEWEST,
) -> Timeline:
    """What happened to a payment, oldest first, and one sentence why it is in its state. Instead of
    a payment's id, that of a booking, subscription, invoice, Checkout session, refund, dispute or
    event will do.
    """
    return await explain(ctx, payables, id=id, who=who, limit=limit)
