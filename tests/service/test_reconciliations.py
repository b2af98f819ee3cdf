"""Reconciliations by the API, by the command and by night; who is told, and what is measured."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.test_cli import env, run
from payments.messages.letters import Letter, Letters
from payments.sync import outbox
from payments.sync.reconcile import confirm
from payments.sync.reconcile.run import CHORES, carry_out_due, request_nightly
from payments.sync.reconcile.runs import begin
from payments.sync.throttle import Throttle
from world import DEPOSIT, Json, World

__all__ = ["env"]
PATH = "/stripe/reconciliations"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)


async def ask(world: World, body: Json, status: int = 202, **more: Any) -> Json:
    return await world.ask("POST", PATH, body, status=status, user="boss", role="admin", **more)


async def read(world: World, id: str = "", **query: Any) -> Json:
    path = f"{PATH}/{id}" if id else PATH
    return await world.ask("GET", path, role="admin", params=query)


async def damaged(world: World) -> Json:
    """A paid booking of which this service knows too little."""
    booking = await world.book()
    await world.confirm(await world.intent(booking))
    await world.settle()
    await world.converge()
    await world.db.execute("update stripe.payment_intents set amount_received = 1, status = 'x'")
    await world.db.execute("update bookings set paid_cents = 1, state = 'pending'")
    return booking


async def letter(world: World) -> Letter:
    """The message to the admins that waits."""
    async with world.ctx.db.transaction() as tx:
        [waiting] = await outbox.claim(tx, limit=5, since=None)
    await world.db.execute("update outbox set not_before = now() + interval '1 h'")
    return Letters(world.settings).write(waiting)


async def test_an_admin_asks_once_and_a_worker_says_row_by_row_what_differs(world: World) -> None:
    await damaged(world)
    await world.db.execute("update stripe.prices set unit_amount = 1 where lookup_key ~ 'kids'")
    headers = world.bearer("boss", "admin") | {"Idempotency-Key": "k"}
    answers = [
        await world.api.post(f"/api/v1{PATH}", json={"heal": False}, headers=headers)
        for _ in range(2)
    ]
    first, again = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert (first["id"], first["state"]) == (again["id"], "requested")
    await carry_out_due(world.ctx)

    found = await read(world, first["id"], limit=1)
    assert (found["state"], found["requested_by"], found["drift"]) == ("done", "boss", 3)
    assert set(found["looked"]) >= {"payment_intent", "price", "product", "balance"}
    rows = found["rows"]["data"]
    while found["rows"]["has_more"]:
        found = await read(world, first["id"], limit=1, starting_after=rows[-1]["id"])
        rows += found["rows"]["data"]
    by_resource = {row["resource"]: row for row in rows}
    assert set(by_resource) == {"payment_intent", "price", "balance"}
    intent = by_resource["payment_intent"]
    assert intent["ours"] == {"status": "x", "amount_received": 1}
    assert intent["stripes"] == {"status": "succeeded", "amount_received": DEPOSIT}
    metrics = await world.api.get("/metrics", headers=headers)
    assert 'payments_drift_rows{resource="price"} 1.0' in metrics.text
    second = await ask(world, {"resources": ["price"]})
    listed = await read(world, limit=1)
    assert ([run["id"] for run in listed["data"]], listed["has_more"]) == ([second["id"]], True)
    rest = await read(world, starting_after=second["id"])
    assert [run["id"] for run in rest["data"]] == [first["id"]]
    [entry] = await world.rows("select act, actor from audit_log where subject = $1", first["id"])
    assert tuple(entry) == ("reconciliation.requested", "boss")


async def test_what_cannot_be_reconciled_is_refused_with_the_names_that_can(world: World) -> None:
    refused = await ask(world, {"resources": ["refunds"]}, 422)
    assert "there are" in refused["detail"]
    assert "balance" in refused["detail"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert "since" in (await ask(world, {"since": tomorrow.isoformat()}, 422))["detail"]
    assert (await read(world))["data"] == []
    await world.ask("GET", f"{PATH}/rec_none", status=404, role="admin")


async def test_the_night_finds_and_heals_and_tells_the_admins(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert [(chore.name, str(chore.at)) for chore in CHORES if chore.at] == [
        ("request_reconciliation", "03:00:00")
    ]
    booking = await damaged(world)
    await ask(world, {"resources": ["payment_intent"]})
    await carry_out_due(world.ctx)
    unhealed = await letter(world)
    assert unhealed.subject == "1 row differed from Stripe"
    assert "1 still differs" in unhealed.text
    assert "payments reconcile --heal" in unhealed.text
    for _ in range(2):
        await request_nightly(world.ctx)
    await carry_out_due(world.ctx)
    night, _ = (await read(world))["data"]
    assert "there is nothing to do" in (await letter(world)).text
    assert (night["requested_by"], night["heal"], night["state"]) == ("system", True, "done")
    assert (night["drift"], night["left"]) == (1, 0)
    assert (await world.booking(booking))["paid_cents"] == DEPOSIT

    await world.db.execute("update outbox set not_before = now()")
    await world.work()
    told, _ = await world.rows(
        "select template, audience, facts from outbox where id ~ '^drift' order by received_at desc"
    )
    facts = json.loads(told["facts"])
    assert (told["template"], told["audience"]) == ("drift", "admin")
    assert (facts["found"], facts["left"], facts["reconciliation"]) == (1, 0, night["id"])
    assert "'alert': 'drift'" in caplog.text

    metrics = await world.api.get("/metrics", headers=world.bearer("boss", "admin"))
    [line] = [x for x in metrics.text.splitlines() if x.startswith("payments_reconciled_time")]
    done = datetime.fromisoformat(night["done_at"]).timestamp()
    assert float(line.split()[1]) == pytest.approx(done, abs=1)


async def test_a_night_reaches_back_to_the_last_night_that_was_completed(world: World) -> None:
    await request_nightly(world.ctx)
    await carry_out_due(world.ctx)
    assert await world.rows("select 1 from outbox") == []
    await world.db.execute("update reconciliations set began_at = began_at - interval '10 d'")
    await ask(world, {"since": datetime.now(UTC).isoformat()})
    await carry_out_due(world.ctx)  # complete, and yet it has looked at nothing
    await request_nightly(world.ctx)
    round = await begin(world.ctx.sync, Throttle(1000))
    assert round is not None
    assert timedelta(days=9) < datetime.now(UTC) - round.wish.since < timedelta(days=11)


async def test_the_command_ends_with_1_until_nothing_differs(
    world: World, env: dict[str, str]
) -> None:
    booking = await damaged(world)
    [intent] = await world.rows("select id from stripe.payment_intents")
    found = await run("reconcile", "--resource", "payment_intent", **env)
    assert found.exit_code == 1, found.output
    for said in (intent["id"], "amount_received", str(DEPOSIT), "differed: 1, left: 1"):
        assert said in found.output
    assert (await world.booking(booking))["paid_cents"] == 1
    healed = await run("reconcile", "--heal", "--json", **env)
    assert healed.exit_code == 0, healed.output
    said = json.loads(healed.stdout)
    assert (said["drift"], said["left"], said["state"]) == (1, 0, "done")
    assert (await world.booking(booking))["paid_cents"] == DEPOSIT
    wrong = await run("reconcile", "--resource", "refunds", **env)
    assert wrong.exit_code == 1
    assert "checkout.session" in str(wrong.exception) + wrong.output
    early = await run("reconcile", "--since", "2999-01-01", **env)
    assert early.exit_code == 1
    assert "lies in the future" in str(early.exception) + early.output
