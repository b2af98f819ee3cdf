"""What a test drives: the API, an offline Stripe and a worker, all in this process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import asyncpg
import httpx2
import orjson
import stripe
from fastapi import FastAPI

from payments.app import create_app
from payments.context import Context
from payments.core import telemetry
from payments.core.db import Clock
from payments.core.db import Database as Pool
from payments.core.principal import Role
from payments.domains.catalog.sync_file import SHIPPED, push, read
from payments.domains.login import issue
from payments.messages import post
from payments.settings import Settings
from payments.sync import process
from payments.sync.throttle import Throttle
from stripe_sandbox.app import App
from stripe_sandbox.app import create_app as create_sandbox
from stripe_sandbox.config import Config

SECRET = "whsec_test_of_the_first_endpoint"
KEY = "a-key-of-the-tests-that-is-long-enough"
API = "http://payments.test"
STRIPE = "http://stripe.test"

BOOKING = {
    "date": "2031-12-25",
    "time": "18:00",
    "guests": 8,
    "menu": "adult",
    "location": "123 Main St, San Jose, CA",
}
TOTAL, DEPOSIT = 44000, 10000
"""What BOOKING costs by the shipped catalogue."""

Json = dict[str, Any]


@dataclass
class Database:
    """A worker's database, emptied between tests."""

    url: str
    connection: asyncpg.Connection
    tables: list[str]

    @classmethod
    async def open(cls, url: str) -> Self:
        connection = await asyncpg.connect(url)
        await connection.execute("set session_replication_role = replica")  # no trigger minds
        rows = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables "
            "where schemaname in ('public', 'stripe') and tablename <> 'alembic_version'"
        )
        return cls(url, connection, [row["name"] for row in rows])

    async def empty(self) -> None:
        await self.connection.execute("; ".join(f"delete from {name}" for name in self.tables))

    async def keep(self, *tables: str) -> None:
        """Remember what these tables hold now, for `bring_back`."""
        await self.connection.execute("drop schema if exists kept cascade; create schema kept")
        for name in tables:
            plain = name.replace(".", "_")
            await self.connection.execute(f"create table kept.{plain} as table {name}")

    async def bring_back(self, *tables: str) -> None:
        for name in tables:
            plain = name.replace(".", "_")
            await self.connection.execute(f"insert into {name} select * from kept.{plain}")

    async def close(self) -> None:
        await self.connection.close()


class SteppingClock(Clock):
    """The real time, and as far beyond it as a test wishes."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def settings(url: str, **changes: Any) -> Settings:
    given = {"rate_limit_per_minute": 0, "rate_limit_anonymous_per_minute": 0, **changes}
    return Settings(
        _env_file=None,
        database_url=url,
        stripe_secret_key="sk_test_sandbox",
        stripe_publishable_key="pk_test_sandbox",
        stripe_webhook_secret=SECRET,
        stripe_api_base=STRIPE,
        secret_key=KEY,
        frontend_urls="https://shop.example,https://admin.example",
        database_pool_size=8,
        stripe_rate=1000,
        **given,
    )


@dataclass
class World:
    """The service over an offline Stripe."""

    settings: Settings
    app: FastAPI
    sandbox: App
    api: httpx2.AsyncClient
    stripe: httpx2.AsyncClient
    db: asyncpg.Connection
    clock: SteppingClock

    @property
    def ctx(self) -> Context:
        found: Context = self.app.state.context
        return found

    def bearer(
        self, user: str = "u-1", role: Role = "user", email: str | None = None
    ) -> dict[str, str]:
        lifetime = timedelta(hours=1)
        token = issue(self.settings, user_id=user, email=email, role=role, lifetime=lifetime)
        return {"Authorization": f"Bearer {token}"}

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        user: str = "u-1",
        role: Role = "user",
        **more: Any,
    ) -> Json:
        """Call the API as somebody and insist on the status."""
        email = f"{user}@example.com"
        answer = await self.api.request(
            method, f"/api/v1{path}", json=body, headers=self.bearer(user, role, email), **more
        )
        assert answer.status_code == status, answer.text
        found: Json = answer.json() if answer.content else {}
        return found

    async def at_stripe(
        self, method: str, path: str, status: int | None = 200, **form: Any
    ) -> Json:
        """Do something at Stripe behind the service's back, as a customer or the dashboard does."""
        answer = await self.stripe.request(method, path, data=form or None)
        assert status in (None, answer.status_code), answer.text
        found: Json = answer.json()
        return found

    async def book(self, **changes: Any) -> Json:
        return await self.ask("POST", "/bookings", BOOKING | changes, status=201)

    async def session(self, booking: Json, **body: Any) -> Json:
        return await self.ask(
            "POST", "/stripe/create-checkout-session", {"booking_id": booking["id"], **body}
        )

    async def intent(self, booking: Json, **body: Any) -> Json:
        return await self.ask(
            "POST", "/stripe/create-payment-intent", {"booking_id": booking["id"], **body}
        )

    async def pay(
        self, session: Json, card: str = "pm_card_visa", status: int | None = 200
    ) -> Json:
        """What the customer does on the page."""
        path = f"/v1/payment_pages/{session['session_id']}/confirm"
        form = {"payment_method": card, "expected_amount": session["amount_cents"]}
        return await self.at_stripe("POST", path, status, **form)

    async def confirm(
        self, intent: Json, card: str = "pm_card_visa", status: int | None = 200
    ) -> Json:
        """What Elements do in the customer's browser."""
        path = f"/v1/payment_intents/{intent['id']}/confirm"
        form = {"payment_method": card, "return_url": "https://shop.example/back"}
        return await self.at_stripe("POST", path, status, **form)

    async def settle(self) -> None:
        """What Stripe does later, now: pending refunds, debits, fees."""
        await self.at_stripe("POST", "/_sandbox/settle")

    async def events(self, **query: Any) -> list[Json]:
        """Every event of the sandbox, oldest first."""
        found: list[Json] = []
        more = True
        while more:
            params = {
                "limit": 100,
                **query,
                **({"starting_after": found[-1]["id"]} if found else {}),
            }
            page = (await self.stripe.get("/v1/events", params=params)).json()
            found += page["data"]
            more = page["has_more"]
        return found[::-1]

    async def deliver(self, event: Json, secret: str = SECRET) -> httpx2.Response:
        """Post one event to the webhook as Stripe does, signed now."""
        body = orjson.dumps(event)
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret)
        return await self.api.post(
            "/api/v1/stripe/webhook", content=body, headers={"Stripe-Signature": header}
        )

    async def work(self) -> None:
        """Let the worker finish what is due, in every lane."""
        sync, throttle = self.ctx.sync, Throttle(1000)
        outgoing = post.open_post(self.settings, sync)
        while (
            await process.drain_payloads(sync)
            + await process.drain_fetches(sync, throttle)
            + await post.drain(outgoing)
        ):
            pass

    async def converge(self, events: Iterable[Json] | None = None) -> None:
        """Deliver events (all by default) and let the worker finish."""
        for event in await self.events() if events is None else events:
            assert (await self.deliver(event)).status_code == 200
        await self.work()

    async def booking(self, booking: Json) -> Json:
        return await self.ask("GET", f"/bookings/{booking['id']}")

    async def rows(self, query: str, *args: Any) -> list[Any]:
        return list(await self.db.fetch(query, *args))


CATALOGUE = ("installation", "stripe.products", "stripe.prices")

Rows = dict[str, dict[str, Json]]


@dataclass
class Shelf:
    """A catalogue that was applied once, and is put into each world as it was left."""

    database: Database
    rows: Rows | None = None

    async def open(self, world: World) -> None:
        if self.rows is None:
            async for _ in push(world.ctx, read(SHIPPED)):
                pass
            tables = world.sandbox.sandbox.state._tables
            self.rows = {kind: _copy(table.rows) for kind, table in tables.items()}
            await self.database.keep(*CATALOGUE)
            return
        for kind, rows in self.rows.items():
            for key, row in _copy(rows).items():
                world.sandbox.sandbox.state.table(kind).put(key, row)
        await self.database.connection.execute("delete from installation")
        await self.database.bring_back(*CATALOGUE)


def _copy(rows: dict[str, Json]) -> dict[str, Json]:
    """The sandbox replaces nested values and never changes them: a flat copy of a row will do."""
    return {key: dict(row) for key, row in rows.items()}


class Way(httpx2.AsyncBaseTransport):
    """The way to Stripe of an application that outlives the offline Stripe of one test."""

    target: httpx2.AsyncBaseTransport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self.target.handle_async_request(request)


@dataclass
class Application:
    """FastAPI works its routes out at the first request, and a connection takes 10 ms to open. So
    one application and its pool serve one test after another, each between its own start and end.
    """

    made: Settings
    clock: SteppingClock
    way: Way
    pool: Pool
    app: FastAPI

    @classmethod
    def make(cls, url: str, changes: Json) -> Self:
        made, clock, way = settings(url, **changes), SteppingClock(), Way()
        pool = Pool(url, pool_size=made.database_pool_size)
        app = create_app(made, clock=clock, network=way, database=pool)
        return cls(made, clock, way, pool, app)

    def begin(self, sandbox: App) -> None:
        self.way.target = httpx2.ASGITransport(app=sandbox)
        telemetry.configure(level=self.made.log_level, fmt=self.made.log_format)


class Applications:
    """Those that no test uses now."""

    def __init__(self) -> None:
        self._idle: dict[str, Application] = {}

    @asynccontextmanager
    async def borrow(self, url: str, changes: Json) -> AsyncIterator[Application]:
        key = repr((url, sorted(changes.items())))
        lent = self._idle.pop(key, None) or Application.make(url, changes)
        state = lent.app.state._state
        before = dict(state)
        yield lent
        state.clear()
        state.update(before)
        lent.clock.ahead = timedelta()
        self._idle[key] = lent

    async def close(self) -> None:
        for application in self._idle.values():
            await application.pool.aclose()
        self._idle.clear()


APPLICATIONS = Applications()


@asynccontextmanager
async def open_world(
    url: str, *, catalogue: bool = True, shelf: Shelf | None = None, **changes: Any
) -> AsyncIterator[World]:
    """Start everything in this process; nothing listens on a port."""
    async with AsyncExitStack() as stack:
        stack.callback(logging.getLogger().setLevel, logging.getLogger().level)
        sandbox = create_sandbox(Config(base_url=STRIPE, settle_after=3600))
        stack.push_async_callback(sandbox.sandbox.aclose)
        application = await stack.enter_async_context(APPLICATIONS.borrow(url, changes))
        application.begin(sandbox)
        app = application.app
        await stack.enter_async_context(app.router.lifespan_context(app))
        app.state._state.pop("stripe_seen", None)  # a probe asks Stripe itself
        api = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=API
        )
        direct = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=sandbox),
            base_url=STRIPE,
            headers={"Authorization": "Bearer sk_test_sandbox"},
        )
        await stack.enter_async_context(api)
        await stack.enter_async_context(direct)
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        world = World(application.made, app, sandbox, api, direct, connection, application.clock)
        if shelf is not None:
            await shelf.open(world)
        elif catalogue:
            async for _ in push(world.ctx, read(SHIPPED)):
                pass
        yield world


async def together(*work: Any) -> list[Any]:
    """Run coroutines at once; their exceptions are results."""
    return list(await asyncio.gather(*work, return_exceptions=True))
