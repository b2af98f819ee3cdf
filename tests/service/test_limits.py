"""How often, how long and under which headers the service answers."""

import re
from typing import Any

import httpx2
import pytest

from payments.app import create_app
from payments.core.rate_limit import Allowance, origin
from service.variants import Gate, application, listening, served
from world import API, Json, World

PROBLEM = "application/problem+json"
ME = "/api/v1/auth/me"


def refused(answer: httpx2.Response) -> Json:
    assert (answer.status_code, answer.headers["content-type"]) == (429, PROBLEM), answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    body: Json = answer.json()
    assert body["code"] == "rate_limited"
    return body


async def test_a_principal_is_limited_before_the_handler_and_nobody_else_is(world: World) -> None:
    async with served(application(world, rate_limit_per_minute=3)) as api:
        for _ in range(3):
            assert (await api.get(ME, headers=world.bearer())).status_code == 200
        # what would be a 422 is not even read
        body = refused(await api.post("/api/v1/bookings", content=b"{", headers=world.bearer()))
        assert "20 s" in body["detail"]
        browser = world.bearer() | {"Origin": "https://shop.example"}
        answer = await api.get(ME, headers=browser)
        refused(answer)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        for other in (world.bearer("u-2"), world.bearer(role="admin")):
            assert (await api.get(ME, headers=other)).status_code == 200


async def test_who_is_not_known_is_limited_by_address_and_stops_nobody_who_is(world: World) -> None:
    app = application(world, rate_limit_anonymous_per_minute=2)
    bad = {"Authorization": "Bearer x.y.z"}
    async with served(app) as api:
        assert (await api.get(ME, headers=bad)).status_code == 401
        assert (await api.get("/api/v1/stripe/config")).status_code == 200
        for path, headers in ((ME, bad), ("/api/v1/stripe/config", {}), ("/nope", {}), ("/", bad)):
            refused(await api.get(path, headers=headers))
        assert (await api.get(ME, headers=world.bearer())).status_code == 200
        for path in ("/livez", "/readyz"):
            assert (await api.get(path)).status_code == 200
        for path in ("/api/v1/stripe/webhook", "/stripe/webhook/", "/api/payments/webhook"):
            assert (await api.post(path, content=b"{}")).status_code == 400


async def reached(app: Any, client: str, forwarded: str | None) -> int:
    transport = httpx2.ASGITransport(app=app, client=(client, 1))
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    async with httpx2.AsyncClient(transport=transport, base_url=API) as api:
        return (await api.get("/api/v1/stripe/config", headers=headers)).status_code


async def test_only_a_trusted_proxy_says_whose_request_it_is(world: World) -> None:
    app = application(world, rate_limit_anonymous_per_minute=1)
    async with served(app):
        assert await reached(app, "10.0.0.7", "203.0.113.1") == 200
        assert await reached(app, "10.0.0.7", "203.0.113.2") == 429
    proxies = "10.0.0.7, 192.168.0.0/16"
    app = application(world, rate_limit_anonymous_per_minute=1, trusted_proxies=proxies)
    async with served(app):
        for client, forwarded, status in (
            ("10.0.0.7", "203.0.113.1", 200),
            ("192.168.3.4", "203.0.113.2", 200),
            ("192.168.3.4", "198.51.100.9, 203.0.113.1", 429),  # the first is the caller's own word
            ("10.0.0.8", "203.0.113.3", 200),
            ("10.0.0.8", "203.0.113.4", 429),
        ):
            assert await reached(app, client, forwarded) == status, (client, forwarded)


def test_an_allowance_comes_back_evenly_and_remembers_the_latest_callers_alone() -> None:
    now = 0.0
    allowance = Allowance(60, callers=2, now=lambda: now)
    assert [allowance.spend("a") for _ in range(61)] == [0] * 60 + [1]
    now = 0.5
    assert allowance.spend("a") == 1
    now = 1.0
    assert [allowance.spend("a"), allowance.spend("a")] == [0, 1]
    now = 3600.0
    assert [allowance.spend("a") for _ in range(61)] == [0] * 60 + [1]
    for other in ("b", "c"):
        assert allowance.spend(other) == 0
    assert list(allowance._left) == ["b", "c"]


def test_an_address_of_ipv6_stands_for_its_customers_network() -> None:
    assert origin("2001:db8:1:2:3::4") == origin("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    for own in ("203.0.113.1", "::ffff:203.0.113.1", "", "unix"):
        assert origin(own) == own


async def test_a_slow_request_is_answered_in_time_and_its_work_is_finished(world: World) -> None:
    booking = await world.book()
    gate = Gate(world.sandbox, "/v1/checkout/sessions")
    app = create_app(
        world.settings.model_copy(update={"request_timeout": 1}),
        clock=world.clock,
        network=httpx2.ASGITransport(app=gate),
    )
    path, body = "/api/v1/stripe/create-checkout-session", {"booking_id": booking["id"]}
    async with app.router.lifespan_context(app):
        async with listening(app) as url, httpx2.AsyncClient(base_url=url) as api:
            answer = await api.post(path, json=body, headers=world.bearer())
            assert gate.reached.is_set()
            assert await world.rows("select 1 from stripe.checkout_sessions") == []
            gate.opened.set()
        # a server that stops waits for the work behind an answer that was given
        [(made,)] = await world.rows("select id from stripe.checkout_sessions")
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert (answer.json()["code"], answer.headers["Retry-After"]) == ("took_too_long", "5")
    assert (await world.session(booking))["session_id"] == made


EVERYWHERE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
STRICT = "default-src 'none'; frame-ancestors 'none'"
YEAR = "max-age=31536000"


@pytest.mark.parametrize(("environment", "https"), [("development", None), ("production", YEAR)])
async def test_every_answer_carries_the_security_headers(
    world: World, environment: str, https: str | None
) -> None:
    app = application(world, environment=environment)

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError

    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    async with served(app) as api:
        answers = [
            await api.get(ME, headers=world.bearer()),
            await api.get(ME),
            await api.get("/nope"),
            await api.get("/crash"),
            await api.post("/api/v1/stripe/webhook", content=b"x" * 2**20 + b"x"),
            await api.options(ME, headers=preflight),
        ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 500, 413, 200]
    for answer in answers:
        assert EVERYWHERE.items() <= dict(answer.headers).items(), answer.url
        assert answer.headers["content-security-policy"] == STRICT
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get("strict-transport-security") == https


async def test_the_documentation_may_run_its_own_scripts_and_no_others(world: World) -> None:
    page = await world.api.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-inline'" in policy
    assert "frame-ancestors 'none'" in policy
    [script] = re.findall(r'<script src="([^"]+)"', page.text)
    asset = await world.api.get(script)
    assert (asset.status_code, asset.headers["x-content-type-options"]) == (200, "nosniff")
    assert "no-store" not in asset.headers.get("cache-control", "")
    own = await world.api.get("/docs/oauth2-redirect")
    assert own.headers["content-security-policy"] == policy
