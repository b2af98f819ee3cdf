"""Lets the pages of any origin call the API with a publishable key, and with no other."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stripe_sandbox.engine import publishable

_ANYONE = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    **_ANYONE,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Stripe-Version",
    "Access-Control-Max-Age": "600",
}


class AnyOrigin:
    """ASGI middleware around the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        meant = headers.get("access-control-request-method", "").lower()
        if scope["method"] == "OPTIONS" and publishable.permits(meant, scope["path"]):
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_ANYONE)
            await send(message)

        asked_by_page = headers.get("authorization", "").startswith("Bearer pk_")
        await self._app(scope, receive, readable if asked_by_page else send)
