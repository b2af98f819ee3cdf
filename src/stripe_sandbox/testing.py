"""A sandbox inside a test: no socket, the official SDK in front, the delivered webhooks in hand."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
import orjson
import stripe

from stripe_sandbox.app import App, create_app
from stripe_sandbox.config import Config
from stripe_sandbox.contract.responses import Body, check

KEY = "sk_test_bench"
WEBHOOK = "http://shop.test/webhook"
SECRET = "whsec_bench"  # noqa: S105  # signs what never leaves the process


class InProcess(stripe.HTTPClient):
    """The SDK's transport on an ASGI application; every answer is held against the SDK's types."""

    name = "in-process"

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__()
        self._client = client

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            response = await self._client.request(
                method, url, headers=dict(headers), content=post_data or None, auth=None
            )
        except httpx2.HTTPError as error:
            raise stripe.APIConnectionError(str(error), should_retry=True) from error  # type: ignore[no-untyped-call]  # the SDK's own gap
        if response.is_success:
            check(response.json())
        return response.content, response.status_code, response.headers

    async def sleep_async(self, _: float) -> None:
        """Nobody is busy in here: retry at once."""

    async def close_async(self) -> None:
        await self._client.aclose()

    def close(self) -> None:
        """There is no synchronous half."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver one event."""

    url: str
    payload: bytes
    signature: str
    status: int

    @property
    def event(self) -> Body:
        parsed: Body = orjson.loads(self.payload)
        return parsed


@dataclass(slots=True)
class Shop:
    """The endpoint of every webhook: remembers what came, answers (or breaks) as it is told to."""

    received: list[Delivery] = field(default_factory=list)
    answers: deque[int | Exception] = field(default_factory=deque)

    async def receive(self, request: httpx2.Request) -> httpx2.Response:
        status = self.answers.popleft() if self.answers else 200
        if isinstance(status, Exception):
            raise status
        signature = request.headers["stripe-signature"]
        delivery = Delivery(str(request.url), await request.aread(), signature, status)
        self.received.append(delivery)
        return httpx2.Response(status)

    @property
    def types(self) -> list[str]:
        """What was accepted; the order of delivery is not the order of the events."""
        return [delivery.event["type"] for delivery in self.received if delivery.status < 300]  # noqa: PLR2004  # the statuses of success


@dataclass(frozen=True, slots=True)
class Bench:
    """A sandbox, its clients and its shop.

    Attributes:
        stripe: the official client.
        http: raw HTTP with a test key; follows no redirect.
    """

    app: App
    stripe: stripe.StripeClient
    http: httpx2.AsyncClient
    shop: Shop

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: Config | None = None, *, shop: Shop | None = None
    ) -> AsyncIterator[Self]:
        """A bench that settles and retries only when it is told to, unless `config` says else.

        At the end every event, and what was delivered of it, is held against the SDK's types.
        """
        config = config or Config(
            base_url="http://sandbox.test",
            webhook_url=WEBHOOK,
            webhook_secret=SECRET,
            settle_after=3600,
            retry_delays=(0.01, 0.01, 0.01),
        )
        shop = shop or Shop()
        outgoing = httpx2.AsyncClient(transport=httpx2.MockTransport(shop.receive))
        app = create_app(config, http=outgoing)
        incoming = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url=config.base_url, auth=(KEY, "")
        )
        client = stripe.StripeClient(
            KEY,
            http_client=InProcess(incoming),
            base_addresses={"api": config.base_url, "files": config.base_url},
        )
        try:
            yield cls(app, client, incoming, shop)
            for event in app.sandbox.state.rows("event").values():
                check(event)
            for delivery in shop.received:
                check(delivery.event)
        finally:
            await app.sandbox.aclose()
            await incoming.aclose()
            await outgoing.aclose()

    async def settle(self) -> None:
        """Let everything happen that Stripe would do later."""
        await self.http.post("/_sandbox/settle")

    async def deliver(self) -> None:
        """Wait until no delivery is due any more."""
        await self.app.sandbox.courier.drained()

    async def events(self) -> list[str]:
        """The types of all events, in the order in which they happened."""
        page = await self.stripe.v1.events.list_async({"limit": 100})
        return [event.type for event in reversed(page.data)]
