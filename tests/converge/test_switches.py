"""Kill switches: what is paused stands still, the rest goes on, and nothing is lost by either."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from converge.observing import intent_at_stripe, paid_at_stripe, priced_booking, row
from onboarding.commands import run
from payments.sync import arrears, switches
from payments.sync.resources import Registry
from world import KEY, SECRET, Json, World


@pytest_asyncio.fixture
async def booking(world: World) -> AsyncIterator[Json]:
    yield await priced_booking(world)


async def turn(world: World, name: str, *, paused: bool, reason: str | None = None) -> Json:
    body = {"paused": paused, "reason": reason}
    return await world.ask("PUT", f"/stripe/switches/{name}", body, role="admin", user="boss")


async def resume(world: World, name: str = "effects") -> Json:
    """Resume, and let the worker take its turn at the arrears."""
    found = await turn(world, name, paused=False)
    await arrears.make_up(world.ctx)
    await world.work()
    return found


async def held_back(world: World) -> set[str]:
    return {found["root"] for found in await world.rows("select root from arrears")}


async def told(world: World) -> list[tuple[str, str | None]]:
    rows = await world.rows("select template, outcome from outbox order by id")
    return [(found["template"], found["outcome"]) for found in rows]


async def test_while_effects_are_paused_mirrors_go_on_and_the_rest_is_made_up(
    world: World, booking: Json
) -> None:
    await turn(world, "effects", paused=True, reason="wrong prices")
    declined = await intent_at_stripe(world, booking)
    await world.confirm(declined, "pm_card_chargeDeclined", status=402)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    assert (await row(world, intent))["status"] == "succeeded"
    assert (await world.booking(booking))["paid_cents"] == 0
    assert await told(world) == []
    assert await world.rows("select 1 from stripe_events where done_at is null") == []
    assert f"booking:{booking['id']}" in await held_back(world)

    shown = await resume(world)
    assert (shown["paused"], shown["waiting"]) == (False, 3)
    assert (await world.booking(booking))["paid_cents"] == 10_000
    assert await told(world) == [("payment_failed", "logged")]
    assert await held_back(world) == set()


async def test_money_that_came_while_effects_were_paused_is_not_asked_for_again(
    world: World, booking: Json
) -> None:
    session = await world.session(booking, payment_type="full")
    await turn(world, "effects", paused=True)
    await world.pay(session)
    wish = {"booking_id": booking["id"], "payment_type": "full"}
    for form in ("create-checkout-session", "create-payment-intent"):
        refused = await world.ask("POST", f"/stripe/{form}", wish, status=503)
        assert "effects were paused" in refused["detail"]
    cheaper = {"total_cents": 20_000, "deposit_cents": 0}
    await world.ask("PUT", f"/bookings/{booking['id']}", cheaper, status=503, role="service")
    await world.converge()
    await resume(world)
    assert (await world.booking(booking))["paid_cents"] == 44_000
    await world.ask("POST", "/stripe/create-checkout-session", wish, status=409)
    opened = await world.at_stripe("GET", "/v1/checkout/sessions")
    assert [found["id"] for found in opened["data"]] == [session["session_id"]]


async def test_a_process_that_hears_of_the_end_late_has_its_arrears_made_up_too(
    world: World, booking: Json
) -> None:
    """It asks once a second; until then it holds effects back, and the next turn finds them."""
    await turn(world, "effects", paused=True)
    await world.work()
    async with world.ctx.db.transaction() as tx:
        assert await world.ctx.sync.switches.paused(tx, "effects")
        assert await switches.resume(tx, None, "effects", reason=None, now=world.clock.now())
    await arrears.make_up(world.ctx)
    await paid_at_stripe(world, booking)
    await world.converge()
    assert (await world.booking(booking))["paid_cents"] == 0
    await arrears.make_up(world.ctx)
    assert (await world.booking(booking))["paid_cents"] == 10_000


async def test_the_switches_are_asked_once_in_their_time_and_not_once_an_event(
    world: World, booking: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switches, "KNOWN_SECONDS", 3600)
    asked = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.extend([statement] if "FROM pauses" in statement else [])

    engine = world.ctx.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    world.ctx.sync.switches.forget()
    for _ in range(3):
        await paid_at_stripe(world, booking)
        await world.converge()
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) == 1


async def test_an_arrear_that_fails_is_told_and_keeps_nothing_from_the_others(
    world: World, booking: Json, caplog: pytest.LogCaptureFixture
) -> None:
    await turn(world, "effects", paused=True)
    await paid_at_stripe(world, booking)
    other = await priced_booking(world)
    await paid_at_stripe(world, other)
    await world.converge()

    async def stumble(_: AsyncConnection, roots: frozenset[str], __: datetime) -> None:
        if f"booking:{other['id']}" in roots:
            raise ValueError("no such menu")

    await turn(world, "effects", paused=False)
    known = world.ctx.sync.registry
    registry = Registry(known.resources, known.roots, settles=[*known.settles, stumble])
    broken = replace(world.ctx, sync=replace(world.ctx.sync, registry=registry))
    await arrears.make_up(broken)
    assert (await world.booking(booking))["paid_cents"] == 10_000
    assert await held_back(world) == {f"booking:{other['id']}"}
    assert "no such menu" in caplog.text
    await arrears.make_up(world.ctx)
    assert (await world.booking(other))["paid_cents"] == 10_000


async def test_arrears_wait_for_as_long_as_the_pause_lasts(world: World, booking: Json) -> None:
    await turn(world, "effects", paused=True)
    await paid_at_stripe(world, booking)
    await world.converge()
    await arrears.make_up(world.ctx)
    assert (await world.booking(booking))["paid_cents"] == 0
    assert len(await held_back(world)) == 2


async def test_a_dry_run_shows_effects_that_are_paused(world: World, booking: Json) -> None:
    await turn(world, "effects", paused=True)
    await paid_at_stripe(world, booking)
    await world.converge()
    body = {"type": ["*"], "dry_run": True}
    found = await world.ask("POST", "/stripe/events/replay", body, role="admin")
    differing = {(d["table"], d["id"]): d["after"] for d in found["rehearsal"]["differences"]}
    assert differing["bookings", booking["id"]]["paid_cents"] == 10_000
    assert (await world.booking(booking))["paid_cents"] == 0


async def test_messages_that_are_paused_wait_and_are_sent_once(world: World, booking: Json) -> None:
    await turn(world, "messages", paused=True)
    declined = await intent_at_stripe(world, booking)
    await world.confirm(declined, "pm_card_chargeDeclined", status=402)
    await world.converge()
    assert await told(world) == [("payment_failed", None)]
    await world.db.execute("update outbox set received_at = now() - interval '100 hours'")
    await world.work()
    assert await told(world) == [("payment_failed", None)]
    assert (await resume(world, "messages"))["waiting"] == 1
    assert await told(world) == [("payment_failed", "logged")]


async def test_a_refund_is_refused_while_they_are_paused_and_one_accepted_is_carried_out(
    world: World, booking: Json
) -> None:
    intent = await paid_at_stripe(world, booking)
    await world.converge()

    async def ask(amount: int, key: str) -> Any:
        body = {"payment_id": intent["id"], "amount_cents": amount}
        headers = world.bearer("boss", "admin") | {"Idempotency-Key": key}
        return await world.api.post("/api/v1/stripe/refund", json=body, headers=headers)

    unclear = {"method": "POST", "path": "/v1/refunds", "cut": True, "times": 9}
    await world.stripe.post("/_sandbox/faults", json=unclear)
    assert (await ask(1_000, "first")).status_code == 202
    await world.stripe.delete("/_sandbox/faults")
    await turn(world, "refunds", paused=True, reason="an account was taken over")
    before = await world.rows("select id from refund_requests")
    refused = await ask(2_000, "second")
    assert refused.status_code == 503
    assert "an account was taken over" in refused.json()["detail"]
    assert refused.headers["Retry-After"] == "60"
    assert await world.rows("select id from refund_requests") == before
    assert (await ask(1_000, "first")).json()["status"] == "succeeded"
    await turn(world, "refunds", paused=False)
    assert (await ask(2_000, "second")).json()["status"] == "succeeded"
    made = await world.at_stripe("GET", "/v1/refunds")
    assert sorted(refund["amount"] for refund in made["data"]) == [1_000, 2_000]


async def test_a_pause_is_shown_with_who_when_and_why_and_to_the_public_by_name(
    world: World,
) -> None:
    await turn(world, "messages", paused=True, reason="typo")
    first = await turn(world, "messages", paused=True, reason="a typo in every letter")
    shown = (await world.ask("GET", "/stripe/switches", role="admin"))["data"]
    assert [(s["name"], s["paused"]) for s in shown] == [
        ("effects", False), ("messages", True), ("refunds", False),
    ]  # fmt: skip
    assert shown[1] == first
    assert (first["paused_by"], first["reason"]) == ("boss", "a typo in every letter")
    ready = await world.api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"]["switches"] == {"state": "warning", "detail": "paused: messages"}
    await turn(world, "messages", paused=False, reason="mended")
    acts = await world.rows("select actor, act, reason from audit_log order by id desc limit 1")
    assert [tuple(act) for act in acts] == [("boss", "messages.resumed", "mended")]


async def test_the_command_pauses_shows_and_resumes(world: World) -> None:
    assert world.settings.database_url is not None
    env = {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": KEY,
    }
    said = await run("pause", "refunds", "--reason", "fraud", **env)
    assert said.exit_code == 0, said.output
    assert "refunds   paused since" in (await run("pause", **env)).output
    assert (await world.ask("GET", "/stripe/switches", role="admin"))["data"][2][
        "reason"
    ] == "fraud"
    assert "refunds   on\n" in (await run("resume", "refunds", **env)).output
    again = await run("resume", "refunds", **env)
    assert (again.exit_code, again.output) == (1, "payments resume: refunds are not paused\n")
    assert "there are effects, messages, refunds" in (await run("pause", "sales", **env)).output
