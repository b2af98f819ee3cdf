"""Several endpoints at once: each gets what it wants, in its own time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import orjson
import pytest_asyncio
import stripe

from stripe_sandbox.app import App, create_app
from stripe_sandbox.config import Config
from stripe_sandbox.testing import InProcess

KEY = "sk_test_many"
SOON = 5


class Endpoints:
    """One host a manner: `hang.test` answers when it is let go, `fail.test` always with 500."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.types: dict[str, list[str]] = {}
        self.bodies: dict[str, tuple[bytes, str]] = {}
        self.let_go = asyncio.Event()
        self._more = asyncio.Event()

    async def receive(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        body = await request.aread()
        self.bodies[host] = body, request.headers["stripe-signature"]
        self.types.setdefault(host, []).append(orjson.loads(body)["type"])
        self.received[host] += 1
        self._more.set()
        if host == "hang.test":
            await self.let_go.wait()
        return httpx2.Response(500 if host == "fail.test" else 200)

    async def has(self, host: str, times: int) -> None:
        while self.received[host] < times:
            self._more.clear()
            await self._more.wait()


class Yard:
    """A sandbox, its client, and those who listen to it."""

    def __init__(self, app: App, http: httpx2.AsyncClient, endpoints: Endpoints) -> None:
        self.app, self.http, self.endpoints = app, http, endpoints
        self.stripe = stripe.StripeClient(
            KEY, http_client=InProcess(http), base_addresses={"api": "http://sandbox.test"}
        ).v1

    async def listen(self, host: str, *types: str) -> stripe.WebhookEndpoint:
        form = {"url": f"https://{host}/", "enabled_events": list(types)}
        return await self.stripe.webhook_endpoints.create_async(form)  # type: ignore[arg-type]  # types by name

    async def newest(self, type: str) -> stripe.Event:
        return (await self.stripe.events.list_async({"type": type, "limit": 1})).data[0]


@pytest_asyncio.fixture
async def yard() -> AsyncIterator[Yard]:
    endpoints = Endpoints()
    config = Config(base_url="http://sandbox.test", retry_delays=(0.01, 0.02, 0.03))
    outgoing = httpx2.AsyncClient(transport=httpx2.MockTransport(endpoints.receive))
    app = create_app(config, http=outgoing)
    transport = httpx2.ASGITransport(app)
    incoming = httpx2.AsyncClient(
        transport=transport, base_url="http://sandbox.test", auth=(KEY, "")
    )
    try:
        yield Yard(app, incoming, endpoints)
    finally:
        endpoints.let_go.set()
        await app.sandbox.aclose()
        await incoming.aclose()
        await outgoing.aclose()


async def test_each_endpoint_gets_what_it_asked_for_and_a_disabled_one_nothing(yard: Yard) -> None:
    await yard.listen("all.test", "*")
    await yard.listen("customers.test", "customer.created", "customer.updated")
    off = await yard.listen("off.test", "*")
    await yard.stripe.webhook_endpoints.update_async(off.id, {"disabled": True})
    customer = await yard.stripe.customers.create_async({})
    await yard.stripe.customers.update_async(customer.id, {"name": "Jenny"})
    await yard.stripe.products.create_async({"name": "Tea"})
    await asyncio.wait_for(yard.app.sandbox.courier.drained(), SOON)
    assert yard.endpoints.received == {"all.test": 3, "customers.test": 2}
    assert set(yard.endpoints.types["customers.test"]) == {"customer.created", "customer.updated"}


async def test_an_endpoint_that_fails_or_hangs_counts_and_the_others_do_not(yard: Yard) -> None:
    for host in ("all.test", "fail.test", "hang.test"):
        await yard.listen(host, "customer.created")
    await yard.stripe.customers.create_async({})
    await asyncio.wait_for(yard.endpoints.has("fail.test", 4), SOON)
    await asyncio.wait_for(yard.endpoints.has("all.test", 1), SOON)
    assert (await yard.newest("customer.created")).pending_webhooks == 2
    yard.endpoints.let_go.set()
    await asyncio.wait_for(yard.app.sandbox.courier.drained(), SOON)
    event = await yard.newest("customer.created")
    assert event.pending_webhooks == 1
    assert yard.endpoints.received == {"all.test": 1, "fail.test": 4, "hang.test": 1}
    failed = await yard.stripe.events.list_async({"delivery_success": False})
    assert [found.id for found in failed.data] == [event.id]


async def test_an_endpoint_that_hangs_delays_no_other(yard: Yard) -> None:
    await yard.listen("hang.test", "customer.created")
    await yard.listen("all.test", "customer.created")
    for _ in range(40):
        await yard.stripe.customers.create_async({})
    await asyncio.wait_for(yard.endpoints.has("all.test", 40), SOON)


async def test_after_a_roll_both_secrets_of_that_endpoint_verify_and_no_other(yard: Yard) -> None:
    rolled, other = await yard.listen("all.test", "*"), await yard.listen("b.test", "*")
    path = f"/_sandbox/webhook_endpoints/{rolled.id}/roll"
    new = (await yard.http.post(path, json={"expires_after": 60})).json()["secret"]
    await yard.stripe.products.create_async({"name": "Tea"})
    await asyncio.wait_for(yard.app.sandbox.courier.drained(), SOON)
    body, signature = yard.endpoints.bodies["all.test"]
    for secret in (rolled.secret, new):
        assert secret
        stripe.Webhook.construct_event(body, signature, secret)
    body, signature = yard.endpoints.bodies["b.test"]
    assert signature.count("v1=") == 1
    assert other.secret
    stripe.Webhook.construct_event(body, signature, other.secret)
