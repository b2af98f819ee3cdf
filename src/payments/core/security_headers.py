"""What every answer tells a browser not to do with it."""

from collections.abc import Collection, Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]
"""A name in lower case, as ASGI has them, and a value."""

NOTHING: Final = b"default-src 'none'; frame-ancestors 'none'"
PAGE: Final = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
SCRIPTED: Final = PAGE + b"; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
ONE_YEAR: Final = b"max-age=31536000"


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
        self._always = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if https_only:
            self._always.append((b"strict-transport-security", ONE_YEAR))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._protected(message["headers"], scope["path"])
            await send(message)

        await self._app(scope, receive, protected)

    def _protected(self, given: Iterable[Header], path: str) -> list[Header]:
        headers = list(given)
        own = dict(headers)
        ours = [*self._always, (b"content-security-policy", self._policy(own, path))]
        if b"etag" not in own:  # a file, which a browser may keep
            ours.append((b"cache-control", b"no-store"))
        return headers + [header for header in ours if header[0] not in own]

    def _policy(self, own: dict[bytes, bytes], path: str) -> bytes:
        if path in self._scripted:
            return SCRIPTED
        return PAGE if own.get(b"content-type", b"").startswith(b"text/html") else NOTHING
