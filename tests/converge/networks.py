"""A way to Stripe that takes its time, and callers that do not wait for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx2

from payments.app import create_app
from world import API, World


class Network(httpx2.AsyncBaseTransport):
    """Reaches an application in this process, and gives up after the client's timeout as a socket
    does. A request that was sent goes on at the other side, whoever has stopped waiting for it, for
    as long as the other side takes an interest.
    """

    def __init__(
        self,
        app: httpx2.ASGITransport,
        *,
        latency: Callable[[], float] = lambda: 0.0,
        gives_up_after: float | None = None,
    ) -> None:
        self._app = app
        self._latency = latency
        self._gives_up_after = gives_up_after
        self._sent: set[asyncio.Task[httpx2.Response]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = asyncio.create_task(self._carry(request))
        self._sent.add(sent)
        sent.add_done_callback(self._forget)
        done, _ = await asyncio.wait({sent}, timeout=request.extensions["timeout"]["read"])
        if done:
            return sent.result()
        raise httpx2.ReadTimeout("no answer in time", request=request)

    def _forget(self, sent: asyncio.Task[httpx2.Response]) -> None:
        self._sent.discard(sent)
        if not sent.cancelled():
            sent.exception()  # nobody may be left to hear of it

    async def aclose(self) -> None:
        for sent in list(self._sent):
            sent.cancel()
        await asyncio.gather(*self._sent, return_exceptions=True)

    async def _carry(self, request: httpx2.Request) -> httpx2.Response:
        async with asyncio.timeout(self._gives_up_after):
            await asyncio.sleep(self._latency())
            answer = await self._app.handle_async_request(request)
            await asyncio.sleep(self._latency())
            return answer


@asynccontextmanager
async def reached_by(
    world: World, network: Callable[[httpx2.ASGITransport], Network], *, timeout_seconds: float = 10
) -> AsyncIterator[World]:
    """The same Stripe and the same database, behind another network."""
    settings = world.settings.model_copy(update={"stripe_timeout": timeout_seconds})
    way = network(httpx2.ASGITransport(app=world.sandbox))
    app = create_app(settings, clock=world.clock, network=way)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(way.aclose)
        await stack.enter_async_context(app.router.lifespan_context(app))
        api = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=API
        )
        await stack.enter_async_context(api)
        yield replace(world, settings=settings, app=app, api=api)
