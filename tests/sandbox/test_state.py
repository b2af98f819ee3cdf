"""State: nothing answered is lost, nothing refused is kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from stripe_sandbox.config import Config
from stripe_sandbox.contract.errors import Lasting
from stripe_sandbox.engine.state import State, StateLocked, StateUnreadable
from stripe_sandbox.engine.work import JOB
from stripe_sandbox.testing import Bench

COMMAND = [sys.executable, "-c", "from stripe_sandbox.cli import main; main()", "--port", "0"]


def start(state: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [*COMMAND, "--data", str(state), "--log-level", "warning"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    greeting = process.stdout.readline()
    return process, greeting.split()[3]


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    state = tmp_path / "state"
    form = {
        "amount": "1000",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
    }
    headers = {"Idempotency-Key": "k", "Authorization": "Bearer sk_test_1"}
    process, url = start(state)
    try:
        first = httpx2.post(f"{url}/v1/payment_intents", data=form, headers=headers)
    finally:
        process.kill()
        process.communicate()
    process, url = start(state)
    try:
        again = httpx2.post(f"{url}/v1/payment_intents", data=form, headers=headers)
        events = httpx2.get(f"{url}/v1/events", headers=headers).json()["data"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == os.EX_OK
    finally:
        process.kill()
        process.communicate()
    assert (first.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert first.content == again.content
    assert len(events) >= 3


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    config = Config(state=tmp_path / "deep" / "state", settle_after=3600)
    async with Bench.open(config) as bench:
        intent = await bench.stripe.v1.payment_intents.create_async(
            {"amount": 1_000, "currency": "usd", "confirm": True, "payment_method": "tok_visa"}
        )
        events = await bench.events()
        jobs = dict(bench.app.sandbox.state.rows(JOB))
    async with Bench.open(config) as bench:
        assert (await bench.stripe.v1.payment_intents.retrieve_async(intent.id)).status == (
            "succeeded"
        )
        assert await bench.events() == events
        assert bench.app.sandbox.state.rows(JOB) == jobs
        await bench.settle()
        assert (await bench.events())[-1] == "charge.updated"


async def test_fresh_empties_the_file(tmp_path: Path) -> None:
    async with Bench.open(Config(state=tmp_path / "state")) as bench:
        await bench.stripe.v1.customers.create_async()
    async with Bench.open(Config(state=tmp_path / "state", fresh=True)) as bench:
        assert (await bench.stripe.v1.customers.list_async()).data == []
    async with Bench.open(Config(state=tmp_path / "state")) as bench:
        assert await bench.events() == []


def test_a_file_has_one_owner(tmp_path: Path) -> None:
    first = State(tmp_path / "state")
    with pytest.raises(StateLocked, match="another sandbox uses this file"):
        State(tmp_path / "state")
    first.close()
    State(tmp_path / "state").close()


def test_a_strange_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("This is no database, and long enough to be read as a page of one. " * 99)
    with pytest.raises(StateUnreadable, match="is no sandbox state"):
        State(path)
    assert path.read_text().startswith("This is no database")


def test_a_failed_transaction_never_happened(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.transaction():
        state.put("a", "1", {"n": 1})
        state.put("a", "2", {"n": 2})

    def fail() -> None:
        with state.transaction():
            state.change("a", "1", n=9, more=True)
            state.drop("a", "2")
            state.put("a", "3", {"n": 3})
            state.put("a", "1", {"other": 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert dict(state.rows("a")) == {"1": {"n": 1}, "2": {"n": 2}}
    state.close()
    again = State(tmp_path / "state")
    assert dict(again.rows("a")) == {"1": {"n": 1}, "2": {"n": 2}}
    again.close()


def test_a_savepoint_takes_back_its_own_changes_only() -> None:
    state = State(None)

    def fail() -> None:
        with state.savepoint():
            state.change("a", "1", n=2)
            raise RuntimeError

    with state.transaction():
        state.put("a", "1", {"n": 1})
        with pytest.raises(RuntimeError):
            fail()
        state.change("a", "1", m=3)
    assert state.get("a", "1") == {"n": 1, "m": 3}


def test_a_lasting_error_leaves_what_was_done(tmp_path: Path) -> None:
    state = State(tmp_path / "state")

    def fail() -> None:
        with state.transaction():
            state.put("a", "1", {"n": 1})
            raise Lasting

    with pytest.raises(Lasting):
        fail()
    state.close()
    again = State(tmp_path / "state")
    assert again.get("a", "1") == {"n": 1}
    again.close()


def test_rows_keep_their_order_across_changes(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.transaction():
        for key in "cab":
            state.put("a", key, {"key": key})
    with state.transaction():
        state.change("a", "c", late=True)
    state.close()
    again = State(tmp_path / "state")
    assert list(again.rows("a")) == ["c", "a", "b"]
    again.close()
