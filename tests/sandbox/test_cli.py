"""The command: its help, its refusals, its ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import typer.testing

from stripe_sandbox.cli import app
from stripe_sandbox.engine.state import State

COMMAND = [sys.executable, "-c", "from stripe_sandbox.cli import main; main()"]


def run(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, list(arguments))


def test_the_help_is_worth_reading() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for text in (
        "An offline Stripe",
        "4242 4242 4242 4242",
        "--webhook",
        "--data",
        "--chaos",
        "trigger",
        "500_before",
    ):
        assert text in result.output


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert result.exit_code == 1
    assert result.output == (
        f"stripe-sandbox: cannot listen on 127.0.0.1:{port}: Address already in use; try --port 0\n"
    )


def test_a_state_in_use_is_one_clear_line(tmp_path: Path) -> None:
    held = State(tmp_path / "state")
    result = run("--port", "0", "--data", str(tmp_path / "state"))
    held.close()
    assert result.exit_code == 1
    assert result.output.startswith("stripe-sandbox: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("percent", ["much", "-1", "100.5", "nan"])
def test_a_tax_rate_that_makes_no_sense_is_one_clear_line(percent: str) -> None:
    result = run("--port", "0", "--tax-rate", percent)
    assert result.exit_code == 1
    assert result.output.startswith(f"stripe-sandbox: --tax-rate {percent} is no percentage; ")


@pytest.mark.parametrize("chaos", ["often", "1.1", "loss=0.1", "drop=0.1,cut"])
def test_a_chaos_that_makes_no_sense_is_one_clear_line(chaos: str) -> None:
    result = run("--port", "0", "--chaos", chaos)
    assert result.exit_code == 1
    assert result.output.startswith(f"stripe-sandbox: --chaos {chaos} is no chaos; ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_cuts_and_ends_cleanly(number: int) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--port=0", "--webhook=http://127.0.0.1:9/x", "--chaos=drop=1", "--seed=42"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        assert "signed with whsec_" in process.stdout.readline()
        assert "--seed 42" in process.stdout.readline()
        with httpx2.Client(base_url=url, auth=("sk_test_1", "")) as client:
            assert client.get("/v1/account").json()["id"] == "acct_sandbox"
            client.post("/_sandbox/faults", json={"cut": True})
            with pytest.raises(httpx2.RemoteProtocolError):
                client.get("/v1/account")
            assert client.get("/v1/account").status_code == 200
        process.send_signal(number)
        _, log = process.communicate(timeout=10)
        assert process.returncode == os.EX_OK
        assert "Traceback" not in log
    finally:
        process.kill()
        process.communicate()
