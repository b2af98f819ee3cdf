"""The development stack keeps accounts apart, draws its own secrets and refuses early."""

import asyncio
import shlex
import socket
import stat
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from payments.dev.api import create_app
from payments.dev.stack import Stack, panel, worker_command
from payments.dev.surroundings import (
    Plan,
    StackRefused,
    Wishes,
    draw_up,
    environment,
    kept_secrets,
    sole_stack,
)
from payments.settings import Settings, UnsafeSettings
from ports import free_port

STAGING = {
    "ENVIRONMENT": "staging",
    "DATABASE_URL": "postgresql://me@elsewhere/mine",
    "STRIPE_SECRET_KEY": "sk_test_mine",
    "STRIPE_WEBHOOK_SECRET": "whsec_mine",
    "SECRET_KEY": "s" * 32,
    "FRONTEND_URLS": "https://shop.example.com",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def wishes(*, port: int = 0, data_dir: Path | None = None, fresh: bool = False) -> Wishes:
    return Wishes(
        port=port or free_port(),
        sandbox_port=free_port(),
        data_dir=data_dir,
        fresh=fresh,
        demo=False,
    )


async def stripe_that_says(status: str, body: str) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert request.startswith("GET /v1/account ")
        assert "authorization: bearer sk_test_mine" in request.lower()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def keyed(base: str) -> Settings:
    return Settings(stripe_secret_key=SecretStr("sk_test_mine"), stripe_api_base=base)


def address(server: asyncio.Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_without_a_key_the_data_belong_to_the_sandbox_account() -> None:
    plan = await draw_up(wishes(), Settings())
    assert plan.data_dir == Path(".payments/acct_sandbox")
    assert plan.sandboxed


async def test_a_key_of_ones_own_has_the_data_directory_of_its_account() -> None:
    async with await stripe_that_says("200 OK", '{"id": "acct_mine"}') as stripe:
        plan = await draw_up(wishes(), keyed(address(stripe)))
    assert plan.data_dir == Path(".payments/acct_mine")
    assert not plan.sandboxed


async def test_a_key_that_stripe_refuses_is_named() -> None:
    async with await stripe_that_says("401 Unauthorized", "{}") as stripe:
        with pytest.raises(StackRefused, match=r"does not accept STRIPE_SECRET_KEY.*401"):
            await draw_up(wishes(), keyed(address(stripe)))


async def test_an_unreachable_stripe_names_the_ways_out() -> None:
    with pytest.raises(StackRefused, match=r"cannot be reached.*--data-dir.*unset STRIPE"):
        await draw_up(wishes(), keyed(f"http://127.0.0.1:{free_port()}"))


async def test_a_named_data_directory_needs_no_question_to_stripe(tmp_path: Path) -> None:
    plan = await draw_up(wishes(data_dir=tmp_path), keyed(f"http://127.0.0.1:{free_port()}"))
    assert plan.data_dir == tmp_path


def test_a_port_in_use_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackRefused, match=f"Port {port} is in use: .* --port"):
            Plan(wishes(port=port), Settings(), tmp_path).check()


def test_only_the_embedded_database_is_ever_emptied(tmp_path: Path) -> None:
    theirs = Settings(database_url=SecretStr("postgresql://me@elsewhere/mine"))
    with pytest.raises(StackRefused, match="DATABASE_URL is yours"):
        Plan(wishes(fresh=True), theirs, tmp_path).check()


def test_secrets_are_drawn_once_and_shown_to_nobody_else(tmp_path: Path) -> None:
    drawn = kept_secrets(tmp_path)
    assert kept_secrets(tmp_path) == drawn
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert kept_secrets(tmp_path / "other") != drawn


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with sole_stack(tmp_path), pytest.raises(StackRefused, match="Another `payments dev`"):
        sole_stack(tmp_path).__enter__()
    with sole_stack(tmp_path):
        pass


def test_the_children_get_what_the_user_did_not_set(tmp_path: Path) -> None:
    plan = Plan(wishes(), Settings(), tmp_path)
    env = environment(plan, database_url="postgresql://embedded")
    read = f". {shlex.quote(str(plan.commands))}; printenv DATABASE_URL STRIPE_WEBHOOK_SECRET"
    shell = subprocess.run(["/bin/sh", "-c", read], capture_output=True, text=True, check=True)
    assert shell.stdout.split() == ["postgresql://embedded", env["STRIPE_WEBHOOK_SECRET"]]
    assert stat.S_IMODE(plan.commands.stat().st_mode) == 0o600
    assert env["DATABASE_URL"] == "postgresql://embedded"
    assert env["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert env["STRIPE_API_BASE"] == plan.sandbox_url
    assert env["STRIPE_WEBHOOK_SECRET"] == kept_secrets(tmp_path).webhook
    assert env["SECRET_KEY"] == kept_secrets(tmp_path).tokens
    assert env["FRONTEND_URLS"].endswith(plan.url)


async def test_a_database_of_ones_own_is_used_as_it_is(tmp_path: Path) -> None:
    theirs = "postgresql://me@elsewhere/mine"
    plan = Plan(wishes(), Settings(database_url=SecretStr(theirs)), tmp_path)
    stack = Stack(plan, Console(quiet=True))
    async with AsyncExitStack() as held:
        assert await stack._database(held) is None
    assert stack._env["DATABASE_URL"] == theirs


def test_with_a_key_of_ones_own_events_are_polled_until_there_is_a_secret(tmp_path: Path) -> None:
    settings = keyed("http://127.0.0.1:1")
    plan = Plan(wishes(), settings, tmp_path)
    with (console := Console(width=80)).capture() as shown:
        console.print(panel(plan))
    assert "events are polled" in shown.get()
    assert "Offline Stripe" not in shown.get()
    assert worker_command(plan)[-1] == "--poll-events"

    told = settings.model_copy(update={"stripe_webhook_secret_2": SecretStr("whsec_mine")})
    assert worker_command(Plan(wishes(), told, tmp_path))[-1] == "worker"
    assert worker_command(Plan(wishes(), Settings(), tmp_path))[-1] == "worker"


def test_only_development_has_such_a_stack(tmp_path: Path) -> None:
    staging = Settings.model_construct(environment="staging")
    with pytest.raises(StackRefused, match="unset ENVIRONMENT"):
        Plan(wishes(), staging, tmp_path).check()


def test_the_development_api_starts_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STAGING.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnsafeSettings, match="fixed tokens"):
        create_app()


def test_what_the_user_set_reaches_the_children_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {
        "STRIPE_SECRET_KEY": "sk_test_mine",
        "STRIPE_WEBHOOK_SECRET": "whsec_mine",
        "SECRET_KEY": "a" * 32,
        "FRONTEND_URLS": "http://localhost:5173",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    env = environment(Plan(wishes(), Settings(), tmp_path), database_url="postgresql://embedded")
    assert {name: env[name] for name in own} == own
    assert "STRIPE_API_BASE" not in env
