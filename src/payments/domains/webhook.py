"""POST /stripe/webhook: verify, store, answer; the worker does the rest."""

from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from payments.context import Ctx, context
from payments.core import errors
from payments.core.errors import Problem
from payments.core.telemetry import WEBHOOKS
from payments.sync.sorting import sort_in

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/stripe", tags=["webhooks"])

ACCEPTED = b'{"received":true}'

TEST_EVENT: Final = "payments.webhook_test"
"""What `payments webhooks test` posts: stored like any event that nobody follows, but it says
nothing about whether Stripe uses a secret.
"""

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "stored; a duplicate is 200 too",
        "content": {"application/json": {"example": {"received": True}}},
    },
    **errors.problems(errors.WebhookRejected, errors.BodyTooLarge, errors.Unavailable),
}


@router.post("/webhook", responses=RESPONSES, response_class=Response)
async def receive_webhook(request: Request, ctx: Ctx) -> Response:
    """Where Stripe posts events. 200 means that the event is durable here: it will be processed, or
    kept as dead with an alert. 400 is a delivery that Stripe has not signed, 503 asks for a retry.
    """
    try:
        body = await request.body()
        delivery = ctx.stripe.receive(body, request.headers.get("stripe-signature"))
        await ctx.ingest.put(sort_in(delivery, ctx.sync.registry, livemode=ctx.sync.livemode))
    except Problem as exc:
        WEBHOOKS.labels(outcome=exc.code).inc()
        log.warning("a delivery was not taken", code=exc.code, reason=exc.detail)
        raise
    if delivery.secret is not None and delivery.event["type"] != TEST_EVENT:
        ctx.secret_uses.note(delivery.secret)
    WEBHOOKS.labels(outcome="stored").inc()
    return Response(ACCEPTED, media_type="application/json")


class Plain(Route):
    """The same route without FastAPI's dependencies, which would take as long as all the rest of a
    delivery; the documented one above stands behind it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, self.receive, methods=["POST"], include_in_schema=False)

    @staticmethod
    async def receive(request: Request) -> Response:
        return await receive_webhook(request, await context(request))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        return match, {**found, "route": self}
