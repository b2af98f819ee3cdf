"""POST /stripe/webhook: verify, store, answer; the worker does the rest."""

from collections.abc import Callable, Collection
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from payments.context import Ctx, context
from payments.core import errors
from payments.core.errors import Problem
from payments.core.telemetry import WEBHOOKS
from payments.sync.sorting import sort_in

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/stripe", tags=["webhooks"])

STORED: Final = WEBHOOKS.labels(outcome="stored")
ACCEPTED: Final = b'{"received":true}'

TEST_EVENT: Final = "payments.webhook_test"
"""What `payments webhooks test` posts: stored like any event that nobody follows."""
TRIAL: Final = "evt_payments_test_"
"""How the ids of events begin that we post ourselves: they say nothing about whether Stripe uses a
secret.
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
    if delivery.secret is not None and not delivery.event["id"].startswith(TRIAL):
        ctx.secret_uses.note(delivery.secret)
    STORED.inc()
    return Response(ACCEPTED, media_type="application/json")


class Doorway:
    """Pure ASGI middleware: Stripe's posts pass no router, no dependencies and nothing that is for
    browsers, which took longer than verifying and storing them. The documented route above stands
    behind it, for whatever else asks at these addresses.
    """

    def __init__(
        self, app: ASGIApp, *, paths: Collection[str], guarded: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        """Open a door in front of an application.

        Args:
            app: what everything else is for.
            paths: where Stripe posts.
            guarded: puts around the handler what limits a body, its time and its crashes.
        """
        self._app, self._handler = app, guarded(_receive)
        self._routes = {path: Route(path, _receive) for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        route = self._routes.get(scope["path"]) if posted else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, {}
        await self._handler(scope, receive, send)


async def _receive(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    try:
        response = await receive_webhook(request, await context(request))
    except Problem as exc:
        response = errors.render(exc)
    await response(scope, receive, send)
