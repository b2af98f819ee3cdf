"""The last resort: what nobody foresaw is logged, and answered as a problem."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments.core.errors import Problem, render

log = structlog.get_logger(__name__)


class LastResort:
    """Pure ASGI middleware, inside CORS and request ids, so that a browser may read a crash too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("a request crashed", path=scope["path"])
            problem = Problem("Something went wrong here; it was logged under this request id")
            await render(problem)(scope, receive, send)
