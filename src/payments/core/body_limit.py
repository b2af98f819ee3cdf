"""A request's body is at most so large, whatever its headers say."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments.core.errors import BodyTooLarge, render

LIMIT: Final = 1024 * 1024


class BodyLimit:
    """Pure ASGI middleware: 413 before a larger body is read into memory."""

    def __init__(self, app: ASGIApp, limit: int = LIMIT) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limit:
            await render(self._problem())(scope, receive, send)
            return
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0
        answered = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise self._problem()
            return message

        async def corrected(message: Message) -> None:
            """Whatever an application makes of the interrupted body, the caller is told why."""
            nonlocal answered
            if seen <= self._limit:
                await send(message)
            elif not answered:
                answered = True
                await render(self._problem())(scope, receive, send)

        await self._app(scope, counted, corrected)

    def _problem(self) -> BodyTooLarge:
        return BodyTooLarge(f"send at most {self._limit} bytes")
