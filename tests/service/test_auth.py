"""Who asks: tokens of ours, of an identity provider, or the adopter's own way."""

import asyncio
import base64
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Request
from pydantic import SecretStr

from payments.core.principal import Principal
from service.variants import application, served
from world import KEY, Json, World

ME = "/api/v1/auth/me"
SOON = timedelta(minutes=5)
PUBLIC = {
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/api/v1/stripe/config"),
    ("post", "/api/v1/stripe/webhook"),
    ("post", "/api/v1/auth/login"),
}


def token(key: Any = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "u-1", "exp": datetime.now(UTC) + SOON} | changes
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm)


def unsigned(header: Json, **claims: Any) -> str:
    def part(value: Json) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    exp = int((datetime.now(UTC) + SOON).timestamp())
    return f"{part(header)}.{part({'sub': 'u-1', 'exp': exp, **claims})}."


async def asks(api: httpx2.AsyncClient, sent: str | None, path: str = ME) -> httpx2.Response:
    headers = {} if sent is None else {"Authorization": f"Bearer {sent}"}
    return await api.get(path, headers=headers)


async def known(api: httpx2.AsyncClient, sent: str) -> Json:
    answer = await asks(api, sent)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def unknown(api: httpx2.AsyncClient, sent: str | None) -> None:
    answer = await asks(api, sent)
    assert answer.status_code == 401, answer.text
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in answer.text


async def test_a_good_token_names_its_user(world: World) -> None:
    assert await known(world.api, token()) == {"user_id": "u-1", "email": None, "role": "user"}
    more = token(email="jenny@example.com", role="admin", iat=datetime.now(UTC))
    assert await known(world.api, more) == {
        "user_id": "u-1",
        "email": "jenny@example.com",
        "role": "admin",
    }


BAD: list[Json] = [
    {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
    {"exp": None},
    {"exp": "soon"},
    {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
    {"sub": None},
    {"sub": ""},
    {"key": "another key of the right length, but another"},
]


async def test_a_token_that_does_not_verify_is_none(world: World) -> None:
    for bad in BAD:
        await unknown(world.api, token(**bad))
    exp = int((datetime.now(UTC) + SOON).timestamp())
    for odd in (["u-1"], True, {"id": "u-1"}, 1.5):  # the library would not sign these
        await unknown(world.api, forged({"sub": odd, "exp": exp}))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_a_token_of_another_algorithm_does_not_verify(world: World, algorithm: str) -> None:
    long = KEY * 2
    async with served(application(world, secret_key=SecretStr(long))) as api:
        await known(api, token(long))
        await unknown(api, token(long, algorithm))


def forged(claims: Json) -> str:
    """A token with claims that the library would not encode, well signed."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), KEY, "HS256")


async def test_no_token_or_none_of_ours_is_nobody(world: World) -> None:
    for sent in (
        None,
        "",
        "x",
        "a.b.c",
        unsigned({"alg": "none"}),
        unsigned({"alg": "HS256"}),
    ):
        await unknown(world.api, sent)
    good = token()
    await unknown(world.api, good[:-2])
    wrong = (good, f"Basic {good}", f"Token {good}", "Bearer", f"Bearer {good} {good}")
    for header in (*(text.encode() for text in wrong), b"Bearer \xe9", b"\xff"):
        answer = await world.api.get(ME, headers={b"Authorization": header})
        assert answer.status_code == 401
    lower = await world.api.get(ME, headers={"Authorization": f"bearer {good}"})
    assert lower.status_code == 200


async def test_a_subject_may_be_a_number(world: World) -> None:
    exp = int((datetime.now(UTC) + SOON).timestamp())
    found = await known(world.api, forged({"sub": 42, "exp": exp}))
    assert found["user_id"] == "42"


async def test_another_user_claim_may_be_any_number(world: World) -> None:
    async with served(application(world, jwt_user_claim="uid")) as api:
        for number in (42, 1, 0):
            assert (await known(api, token(uid=number)))["user_id"] == str(number)


ROLES: list[tuple[Any, str]] = [
    ("user", "user"),
    ("service", "service"),
    ("admin", "admin"),
    (["viewer", "admin"], "admin"),
    (["service", "user"], "service"),
    (["service", "admin"], "admin"),
    ("ADMIN", "user"),
    ("administrator", "user"),
    ("user admin", "user"),
    ([], "user"),
    (None, "user"),
    (7, "user"),
    ({"admin": True}, "user"),
    ([{"name": "admin"}], "user"),
    ([["admin"]], "user"),
]


async def test_what_is_not_a_role_of_ours_makes_a_plain_user(world: World) -> None:
    seen = []
    for roles, _ in ROLES:
        answer = await asks(world.api, token(role=roles))
        seen.append((roles, answer.json().get("role", answer.text)))
    assert seen == ROLES


async def test_the_claims_are_configurable_and_a_dot_descends(world: World) -> None:
    app = application(
        world,
        jwt_user_claim="user.id",
        jwt_email_claim="https://shop.example/email",
        jwt_role_claim="realm_access.roles",
    )
    async with served(app) as api:
        sent = token(
            sub=None,
            user={"id": "u-7"},
            realm_access={"roles": ["offline", "service"]},
            **{"https://shop.example/email": "seven@example.com"},
        )
        assert await known(api, sent) == {
            "user_id": "u-7",
            "email": "seven@example.com",
            "role": "service",
        }
        await unknown(api, token(role="admin"))
        for odd in ("u-7", None, ["u-7"], {"id": None}, {"id": {"id": "u-7"}}):
            await unknown(api, token(user=odd))
        assert (await known(api, token(user={"id": "u"}, realm_access="admin")))["role"] == "user"


async def test_audience_and_issuer_are_required_once_they_are_set(world: World) -> None:
    async with served(application(world, jwt_audience="payments", jwt_issuer="https://id")) as api:
        await known(api, token(aud="payments", iss="https://id"))
        await known(api, token(aud=["other", "payments"], iss="https://id"))
        for wrong in (
            {},
            {"aud": "payments"},
            {"iss": "https://id"},
            {"aud": "other", "iss": "https://id"},
            {"aud": "payments", "iss": "https://id.evil"},
        ):
            await unknown(api, token(**wrong))
    await known(world.api, token(aud="anybody", iss="whoever"))


class KeySet:
    """What an identity provider serves under its JWKS address."""

    def __init__(self) -> None:
        self.body = b'{"keys": []}'
        self.status = 200
        self.asked = 0

    def publish(self, **keys: rsa.RSAPrivateKey) -> None:
        made = [
            jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            | {"kid": kid, "use": "sig", "alg": "RS256"}
            for kid, key in keys.items()
        ]
        self.body = json.dumps({"keys": made}).encode()


@contextmanager
def provider(keys: KeySet) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked += 1
            self.send_response(keys.status)
            self.send_header("Content-Length", str(len(keys.body)))
            self.end_headers()
            self.wfile.write(keys.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def confused(key: rsa.RSAPrivateKey, kid: str) -> str:
    """A token signed with the public key, as if that were a shared secret."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = unsigned({"alg": "HS256", "kid": kid}).rstrip(".")
    digest = hmac.digest(public, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


async def test_a_key_set_takes_the_place_of_the_secret(world: World) -> None:
    ours, later, stranger = [await asyncio.to_thread(private_key) for _ in range(3)]
    keys = KeySet()
    keys.publish(k1=ours, k2=later)
    with provider(keys) as url:
        async with served(application(world, jwks_url=url, secret_key=None)) as api:

            def signed(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> str:
                claims = {"sub": "u-1", "exp": datetime.now(UTC) + SOON, **more}
                return jwt.encode(claims, key, "RS256", headers={"kid": kid})

            for _ in range(5):
                assert (await known(api, signed(ours, "k1")))["user_id"] == "u-1"
            assert keys.asked == 1
            await unknown(api, signed(stranger, "k1"))
            await unknown(api, signed(later, "k3"))
            await unknown(api, signed(later, "k1"))
            await unknown(api, token())
            await unknown(api, unsigned({"alg": "none", "kid": "k1"}))
            await unknown(api, confused(ours, "k1"))
            assert (await known(api, signed(later, "k2", role="admin")))["role"] == "admin"


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"<html>"), (200, b"[]")])
async def test_a_provider_that_is_away_is_not_the_callers_fault(
    world: World, status: int, body: bytes
) -> None:
    keys = KeySet()
    keys.status, keys.body = status, body
    claims = {"sub": "u-1", "exp": datetime.now(UTC) + SOON}
    sent = jwt.encode(claims, await asyncio.to_thread(private_key), "RS256", headers={"kid": "k"})
    with provider(keys) as url:
        async with served(application(world, jwks_url=url, secret_key=None)) as api:
            assert (await asks(api, sent)).status_code == 503


async def test_without_a_key_nobody_is_known(world: World) -> None:
    async with served(application(world, secret_key=None)) as api:
        await unknown(api, token())
        answer = await api.post("/api/v1/auth/login", json={"user_id": "u-1"})
        assert (answer.status_code, answer.json()["code"]) == (501, "not_available_here")


async def test_the_adopters_own_way_replaces_tokens(world: World) -> None:
    async def by_header(request: Request) -> Principal | None:
        user = request.headers.get("x-user")
        return Principal(user_id=user, role="service") if user else None

    async with served(application(world, authenticate=by_header)) as api:
        answer = await api.get(ME, headers={"X-User": "u-5"})
        assert answer.json() == {"user_id": "u-5", "email": None, "role": "service"}
        await unknown(api, token())
        await unknown(api, None)


async def test_a_login_gives_a_token_in_development(world: World) -> None:
    body = {"user_id": "u-4", "email": "four@example.com", "role": "service"}
    answer = await world.api.post("/api/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "bearer")
    assert answer.json()["expires_in"] > 0
    assert await known(world.api, answer.json()["access_token"]) == body
    for wrong in ({}, {"user_id": ""}, {"user_id": "u", "role": "root"}, {"user_id": "u", "x": 1}):
        answer = await world.api.post("/api/v1/auth/login", json=wrong)
        assert answer.status_code == 422


@pytest.mark.parametrize("environment", ["staging", "production"])
async def test_elsewhere_logins_are_the_providers(world: World, environment: str) -> None:
    async with served(application(world, environment=environment)) as api:
        answer = await api.post("/api/v1/auth/login", json={"user_id": "u-1", "role": "admin"})
        assert answer.status_code == 501
        headers = {"Authorization": f"Bearer {token()}"}
        assert (await api.post("/api/v1/auth/logout", headers=headers)).status_code == 501


async def test_a_logout_needs_somebody_and_keeps_nothing(world: World) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    answer = await world.api.post("/api/v1/auth/logout", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await world.api.post("/api/v1/auth/logout")).status_code == 401


async def test_the_specification_says_which_routes_need_a_token(world: World) -> None:
    spec = (await world.api.get("/openapi.json")).json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            assert bool(operation.get("security")) is ((method, path) not in PUBLIC), path


async def test_a_secret_of_the_service_is_never_in_an_answer(world: World) -> None:
    async with served(application(world, stripe_webhook_secret=SecretStr("whsec_visible"))) as api:
        for path in ("/api/v1/stripe/config", "/openapi.json", "/readyz", "/livez"):
            text = (await api.get(path)).text
            assert not any(secret in text for secret in ("whsec_", KEY, "sk_test_sandbox"))
