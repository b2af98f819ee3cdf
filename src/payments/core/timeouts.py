"""A caller is answered in time, even where the work goes on."""

import asyncio

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments.core.errors import Problem, render

log = structlog.get_logger(__name__)


class TookTooLong(Problem):
    """The work takes longer than a request may, and goes on."""

    status, code = 503, "took_too_long"


class Timeout:
    """Pure ASGI middleware: 503 once a request has taken too long.

    The handler is not cancelled: cut between Stripe's answer and our row it would leave the same
    gap as a crash, for a later request or the worker to close. So it comes to its own end, which
    the timeouts of Stripe's client and of the database bound, and a server that is told to stop
    waits for it; only its late answer is dropped.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        instead: asyncio.Task[None] | None = None

        async def in_time(message: Message) -> None:
            nonlocal started
            if instead is None:
                started = True
                await send(message)

        def give_up() -> None:
            nonlocal instead
            if not started:
                log.warning("a request takes too long", path=scope["path"])
                instead = asyncio.create_task(render(self._problem())(scope, receive, send))

        timer = asyncio.get_running_loop().call_later(self._seconds, give_up)
        try:
            await self._app(scope, receive, in_time)
        finally:
            timer.cancel()
            if instead is not None:
                await instead

    def _problem(self) -> TookTooLong:
        return TookTooLong(
            f"this takes longer than {self._seconds:g} s and goes on; ask again, with the same "
            "Idempotency-Key if you sent one",
            retry_after=5,
        )
