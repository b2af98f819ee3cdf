"""Every route of the specification, asked by everybody: who may, and who may not."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from payments.core.principal import Role
from payments.domains.portal import ensure_configuration
from service.plans import shelve, subscribed
from world import BOOKING, KEY, Database, Json, Shelf, World, open_world

AUDIENCE = "payments"
WHO: Final[dict[str, tuple[str, Role]]] = {
    "user": ("u-1", "user"),
    "other": ("u-2", "user"),
    "service": ("shop", "service"),
    "admin": ("boss", "admin"),
}
PARAMETER: Final = re.compile(r"\{\w+\}")
NOBODY = ("none", "expired", "wrong algorithm", "unsigned", "wrong audience")


@dataclass(frozen=True)
class Route:
    """The status that each of WHO is answered; NOBODY is answered 401, unless it is public.
    In the address and the body `<refund>` stands for the refund of the user's payment.
    """

    user: int
    other: int
    service: int
    admin: int
    body: Json | None = None
    id: str = ""
    public: bool = False


def anyone(status: int = 200, body: Json | None = None) -> Route:
    return Route(status, status, status, status, body)


def public(status: int = 200, body: Json | None = None) -> Route:
    return Route(status, status, status, status, body, public=True)


def owner(body: Json | None = None, *, id: str = "") -> Route:
    """The user whose object it is, and who acts for all users; to another user there is none."""
    return Route(200, 404, 200, 200, body, id)


def once(id: str) -> Route:
    """What the user does; the others find it done."""
    return Route(200, 404, 409, 409, None, id)


def admins(body: Json | None = None, *, id: str = "") -> Route:
    return Route(403, 403, 403, 200, body, id)


# One line a route. A route that is missing here fails the test: say who may ask for it.
ROUTES = {
    "GET /livez": public(),
    "GET /readyz": public(),
    "GET /metrics": admins(),
    "GET /api/v1/auth/me": anyone(),
    "POST /api/v1/auth/login": public(200, {"user_id": "u-3"}),
    "POST /api/v1/auth/logout": anyone(204),
    "GET /api/v1/bookings": anyone(),
    "POST /api/v1/bookings": anyone(201, BOOKING),
    "GET /api/v1/bookings/{id}": owner(id="<booking>"),
    "PUT /api/v1/bookings/{id}": owner({"location": "1 Other St"}, id="<booking>"),
    "GET /api/v1/stripe/config": public(),
    "GET /api/v1/stripe/products": anyone(),
    "POST /api/v1/stripe/create-checkout-session": owner({"booking_id": "<booking>"}),
    "GET /api/v1/stripe/checkout-sessions/{id}": owner(id="<session>"),
    "POST /api/v1/stripe/create-payment-intent": owner({"booking_id": "<booking>"}),
    "GET /api/v1/stripe/payments": anyone(),
    "GET /api/v1/stripe/payments/{id}": owner(id="<payment>"),
    "GET /api/v1/stripe/payments/{id}/timeline": owner(id="<payment>"),
    "POST /api/v1/stripe/refund": admins({"payment_id": "<payment>", "amount_cents": 200}),
    "GET /api/v1/stripe/refunds": anyone(),
    "GET /api/v1/stripe/refunds/{id}": owner(id="<refund>"),
    "POST /api/v1/stripe/portal-link": anyone(200, {}),
    "GET /api/v1/stripe/customer-portal": anyone(),
    "GET /api/v1/stripe/analytics/payments": admins(),
    "GET /api/v1/financial/admin/dashboard": admins(),
    "GET /api/v1/customers/{user_id}": owner(id="<owner>"),
    "PUT /api/v1/customers/{user_id}": Route(
        403, 403, 200, 200, {"stripe_customer_id": "<customer>"}, "<owner>"
    ),
    "POST /api/v1/stripe/create-subscription": anyone(200, {"product_id": "backup"}),
    "GET /api/v1/stripe/subscriptions/{id}": owner(id="<subscription>"),
    "DELETE /api/v1/stripe/subscriptions/{id}": owner(id="<subscription>"),
    "POST /api/v1/stripe/subscriptions/{id}/resume": once("<subscription>"),
    "POST /api/v1/stripe/subscriptions/{id}/change-plan": owner(
        {"product_id": "gold", "preview": True}, id="<subscription>"
    ),
    "POST /api/v1/stripe/subscriptions/{id}/retry-payment": Route(
        409, 404, 409, 409, None, "<subscription>"
    ),
    "POST /api/v1/stripe/subscriptions/{id}/pause": once("<subscription>"),
    "GET /api/v1/financial/subscriptions/{user_id}/summary": owner(id="<owner>"),
    "GET /api/v1/financial/credits/{user_id}": owner(id="<owner>"),
    "POST /api/v1/financial/credits/{user_id}/add": Route(
        403, 403, 200, 200, {"amount": 50}, "<owner>"
    ),
    "POST /api/v1/financial/credits/{user_id}/spend": owner({"amount": 10}, id="<owner>"),
    "GET /api/v1/stripe/events": admins(),
    "POST /api/v1/stripe/events/replay": admins({"state": ["dead"], "dry_run": True}),
    "GET /api/v1/stripe/switches": admins(),
    "PUT /api/v1/stripe/switches/{name}": admins({"paused": False}, id="<switch>"),
    "GET /api/v1/stripe/reconciliations": admins(),
    "GET /api/v1/stripe/reconciliations/{id}": Route(403, 403, 403, 200, None, "<run>"),
    "POST /api/v1/stripe/reconciliations": Route(403, 403, 403, 202, {"heal": True}),
    "POST /api/v1/stripe/webhook": public(400),
}


@pytest_asyncio.fixture
async def strict(database: Database, shelf: Shelf) -> Any:
    """A world whose tokens are for an audience."""
    await database.empty()
    async with open_world(database.url, shelf=shelf, jwt_audience=AUDIENCE) as opened:
        yield opened


def tokens(world: World) -> dict[str, str | None]:
    claims = {"sub": "u-1", "aud": AUDIENCE, "exp": datetime.now(UTC) + timedelta(hours=1)}
    past = claims | {"exp": datetime.now(UTC) - timedelta(seconds=1)}
    known = {
        name: world.bearer(user, role)["Authorization"].removeprefix("Bearer ")
        for name, (user, role) in WHO.items()
    }
    assert jwt.decode(known["admin"], KEY, ["HS256"], audience=AUDIENCE)["role"] == "admin"
    return known | {
        "none": None,
        "expired": jwt.encode(past, KEY, "HS256"),
        "wrong algorithm": jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256"),
        "unsigned": jwt.encode(claims, "", "none"),
        "wrong audience": jwt.encode(claims | {"aud": "shop"}, KEY, "HS256"),
    }


async def objects(world: World) -> dict[str, str]:
    """What the user has: a booking with its deposit paid, some of it given back."""
    booking = await world.book()
    session = await world.session(booking, payment_type="deposit")
    await world.pay(session)
    await world.converge()
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    body = {"payment_id": payment["id"], "amount_cents": 100}
    refund = await world.ask("POST", "/stripe/refund", body, role="admin")
    await world.converge()
    await shelve(world)
    subscription = await subscribed(world)
    await ensure_configuration(world.ctx)
    customer = await world.ask("GET", "/customers/u-1")
    run = await world.ask("POST", "/stripe/reconciliations", {}, status=202, role="admin")
    return {
        "<owner>": "u-1",
        "<run>": run["id"],
        "<customer>": customer["stripe_customer_id"],
        "<booking>": booking["id"],
        "<session>": session["session_id"],
        "<payment>": payment["id"],
        "<refund>": refund["id"],
        "<subscription>": subscription["id"],
        "<switch>": "messages",
    }


@dataclass
class Walk:
    world: World
    found: dict[str, str]
    tokens: dict[str, str | None]

    async def ask(self, name: str, who: str, prefix: str = "/api/v1/") -> tuple[int, str]:
        """The status and the text that somebody is answered."""
        route, (method, path) = ROUTES[name], name.split()
        token = self.tokens[who]
        answer = await self.world.api.request(
            method,
            PARAMETER.sub(self.found.get(route.id, ""), path).replace("/api/v1/", prefix),
            json=self._filled(route.body),
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        return answer.status_code, answer.text

    def _filled(self, body: Json | None) -> Json | None:
        return body and {name: self.found.get(str(value), value) for name, value in body.items()}

    async def rows(self) -> list[Any]:
        """All that is stored, table by table."""
        tables = await self.world.rows(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname in ('public', 'stripe') order by 1"
        )
        one = "select '{0}', md5(string_agg(t::text, ' ' order by t::text)) from {0} t"
        return await self.world.rows(" union all ".join(one.format(name) for (name,) in tables))


def expected(name: str, who: str) -> int:
    route = ROUTES[name]
    allowed: int = getattr(route, "user" if who in NOBODY else who)
    return 401 if who in NOBODY and not route.public else allowed


async def test_every_route_is_open_to_those_it_is_for_and_to_nobody_else(strict: World) -> None:
    paths = strict.app.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    new, gone = sorted(routes - ROUTES.keys()), sorted(ROUTES.keys() - routes)
    assert not new, f"say in ROUTES who may ask for {new}"
    assert not gone, f"these are gone, drop them from ROUTES: {gone}"

    walk = Walk(strict, await objects(strict), tokens(strict))
    asked = [(name, who) for name in ROUTES for who in (*NOBODY, *WHO)]
    refused = [one for one in asked if expected(*one) in (401, 403, 404)]
    before = await walk.rows()
    for name, who in refused:
        for prefix in ("/api/v1/", "/api/"):
            status, text = await walk.ask(name, who, prefix)
            assert status == expected(name, who), (name, who, prefix, text)
    assert await walk.rows() == before, "who was refused has changed something"
    for name, who in asked:
        if (name, who) not in refused:
            status, text = await walk.ask(name, who)
            assert status == expected(name, who), (name, who, text)
            if name.startswith("GET") and who == "other":
                assert not [id for id in walk.found.values() if id in text], (name, text)
