"""What every answer tells a browser not to do with it."""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
PAGE: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
SCRIPTED: Final = f"{PAGE}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
ONE_YEAR: Final = "max-age=31536000"


class SecurityHeaders:
    """Pure ASGI middleware. What a handler has set itself stays."""

    def __init__(self, app: ASGIApp, *, https_only: bool, scripted: Collection[str] = ()) -> None:
        """Protect an application's answers.

        Args:
            app: what answers.
            https_only: whether browsers are to come by https alone from now on.
            scripted: paths of pages whose scripts stand in the page, as the documentation's do.
        """
        self._app, self._scripted = app, frozenset(scripted)
        self._always = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        if https_only:
            self._always["Strict-Transport-Security"] = ONE_YEAR

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._protect(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self._app(scope, receive, protected)

    def _protect(self, headers: MutableHeaders, path: str) -> None:
        for name, value in self._always.items():
            headers.setdefault(name, value)
        headers.setdefault("Content-Security-Policy", self._policy(headers, path))
        if "etag" not in headers:  # a file, which a browser may keep
            headers.setdefault("Cache-Control", "no-store")

    def _policy(self, headers: MutableHeaders, path: str) -> str:
        if path in self._scripted:
            return SCRIPTED
        return PAGE if headers.get("content-type", "").startswith("text/html") else NOTHING
