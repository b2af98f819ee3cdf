"""The examples do what they say, named in the settings as an adopter names them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import yoga_class
from payments.domains import assemble
from payments.settings import UnsafeSettings, load
from world import Database, Json, World, open_world

SESSIONS = """create table sessions (token_sha256 bytea primary key, user_id text, email text,
    is_staff boolean, expires_at timestamptz default now() + interval '1 hour')"""


@pytest_asyncio.fixture
async def studio(database: Database) -> AsyncIterator[World]:
    """The service, told about the examples by name alone."""
    await database.empty()
    await database.connection.execute(f"{yoga_class.TABLE}; {SESSIONS}")
    named: Json = {"payables": "yoga_class:yoga", "authenticate": "your_users:authenticate"}
    try:
        async with open_world(database.url, catalogue=False, **named) as world:
            yield world
    finally:
        await database.connection.execute("drop table yoga_places, sessions")


async def sign_in(world: World, user: str) -> dict[str, str]:
    token = hashlib.sha256(f"the session of {user}".encode())
    await world.db.execute(
        "insert into sessions values (sha256($1), $2, $3, false)",
        token.hexdigest().encode(), user, f"{user}@example.com",
    )  # fmt: skip
    return {"Authorization": f"Bearer {token.hexdigest()}"}


async def checkout(world: World, place: str, headers: dict[str, str], status: int = 200) -> Json:
    answer = await world.api.post(
        "/api/v1/stripe/create-checkout-session",
        json={"reference": f"yoga:{place}"}, headers=headers,
    )  # fmt: skip
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def test_a_yoga_class_is_booked_paid_and_marked_paid_exactly_once(studio: World) -> None:
    jenny, tom = await sign_in(studio, "jenny"), await sign_in(studio, "tom")
    await studio.db.execute("insert into yoga_places values ('p-1', 'jenny', 1800)")
    for stranger in ({}, {"Authorization": "Bearer of-nobody"}):
        await checkout(studio, "p-1", stranger, status=401)
    await checkout(studio, "p-1", tom, status=404)

    session = await checkout(studio, "p-1", jenny)
    assert (session["amount_cents"], session["reference"]) == (1800, "yoga:p-1")
    assert (await checkout(studio, "p-1", jenny))["session_id"] == session["session_id"]
    await studio.pay(session)
    events = await studio.events()
    await studio.converge(events[::-1])
    [once] = await studio.rows("select paid_at, xmin from yoga_places")
    assert once["paid_at"] is not None
    for event in events:
        await studio.ctx.stripe.process_webhook_event(event)
    assert await studio.rows("select paid_at, xmin from yoga_places") == [once]  # not even written
    assert "once only" in (await checkout(studio, "p-1", jenny, status=409))["detail"]

    [payment] = (await studio.at_stripe("GET", "/v1/payment_intents"))["data"]
    await studio.at_stripe("POST", "/v1/refunds", payment_intent=payment["id"])
    await studio.converge()
    assert await studio.rows("select paid_at from yoga_places") == [(None,)]


async def test_a_name_that_leads_nowhere_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    for name, value, said in (
        ("PAYABLES", "yoga_class:yoga,nowhere:thing", "PAYABLES.1: .*nowhere"),
        ("AUTHENTICATE", "your_users:nobody", "AUTHENTICATE: .*nobody"),
    ):
        monkeypatch.setenv(name, value)
        with pytest.raises(UnsafeSettings, match=f"^{said}[^\n]*$"):
            load()
        monkeypatch.delenv(name)
    for payable in (yoga_class.Yoga, object()):
        with pytest.raises(UnsafeSettings, match=r"^PAYABLES: [^\n]*no payable[^\n]*$"):
            assemble([payable])
