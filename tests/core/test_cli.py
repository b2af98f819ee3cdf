"""The `payments` command."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import jwt
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from payments import __version__
from payments.cli.main import app
from payments.core import migrations
from payments.settings import Settings, UnsafeSettings
from ports import free_port
from service.variants import listening
from world import KEY, SECRET, World

PAYMENTS = Path(sys.executable).with_name("payments")
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@pytest_asyncio.fixture
async def env(world: World) -> AsyncIterator[dict[str, str]]:
    """What a server's environment says, with the world's Stripe behind a port."""
    assert world.settings.database_url is not None
    async with listening(world.sandbox) as url:
        yield {
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": url,
            "SECRET_KEY": KEY,
        }


async def run(*arguments: str, **env: str) -> Result:
    """In this process, so that it is quick; away from its loop, for a command brings its own."""
    clean = dict.fromkeys((name.upper() for name in Settings.model_fields), None)
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments, env={**clean, **env}))


@dataclass
class Ran:
    code: int
    out: str
    err: str


async def command(*arguments: str, **env: str) -> Ran:
    """As a user does, in a process of its own; ended if it goes on."""
    ran = await asyncio.create_subprocess_exec(
        PAYMENTS, *arguments, env=ENVIRONMENT | env, cwd="/",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(ran.communicate(), 20)
    except TimeoutError:
        ran.kill()
        out, err = await ran.communicate()
        pytest.fail(f"{arguments} went on\n{err.decode()}")
    assert ran.returncode is not None
    return Ran(ran.returncode, out.decode(), err.decode())


async def test_the_version_and_the_help_name_what_there_is() -> None:
    assert (await run("--version")).output.strip() == __version__
    for asked in (("--help",), ("-h",), ()):
        shown = (await run(*asked)).output
        for name in ("serve", "worker", "migrate", "catalog", "token", "dev", "demo"):
            assert name in shown


async def test_a_token_is_one_that_the_service_accepts(world: World) -> None:
    made = await run(
        "token", "u-8", "--role", "service", "--email", "e@example.com", SECRET_KEY=KEY
    )
    sent = {"Authorization": f"Bearer {made.output.strip()}"}
    answer = await world.api.get("/api/v1/auth/me", headers=sent)
    assert answer.json() == {"user_id": "u-8", "email": "e@example.com", "role": "service"}
    claims = jwt.decode(made.output.strip(), KEY, ["HS256"])
    assert set(claims) == {"sub", "role", "exp", "email"}


async def test_a_token_without_a_key_is_refused_in_one_line() -> None:
    ran = await command("token", "u-1")
    assert ran.code != 0
    assert "SECRET_KEY" in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err


async def test_production_makes_no_tokens() -> None:
    ran = await run(
        "token", "u-1", ENVIRONMENT="production", DATABASE_URL="postgresql://u@h/d",
        STRIPE_SECRET_KEY="sk_live_x", STRIPE_WEBHOOK_SECRET="whsec_x", SECRET_KEY=KEY,
        FRONTEND_URLS="https://shop.example",
    )  # fmt: skip
    assert ran.exit_code != 0
    assert "eyJ" not in ran.output


async def test_the_catalogue_is_applied_and_then_unchanged(
    world: World, env: dict[str, str], tmp_path: Path
) -> None:
    shipped = await run("catalog", "apply", **env)
    assert shipped.exit_code == 0, shipped.output
    assert "Nothing to change" in shipped.output
    assert "$55.00" in shipped.output

    file = tmp_path / "catalog.toml"
    file.write_text('[[product]]\nkey = "menu_adult"\nname = "Dinner"\nunit_amount = 6000\n')
    for expected in ("updated", "unchanged"):
        ran = await run("catalog", "apply", str(file), **env)
        assert ran.output.split()[:3] == [expected, "menu_adult", "$60.00"], ran.output
    assert (await world.book())["total_cents"] == 8 * 6000
    prices = await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=menu_adult")
    assert [(price["unit_amount"], price["active"]) for price in prices["data"]] == [(6000, True)]
    products = await world.at_stripe("GET", "/v1/products/payments_menu_adult")
    assert products["name"] == "Dinner"


CATALOGUES = {
    "a currency in capitals": (
        'currency = "USD"\n[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500'
    ),
    "a product without a description": '[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500',
    "several currencies": (
        '[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500\ncurrency = "jpy"\n'
        '[[product]]\nkey = "b"\nname = "B"\nunit_amount = 1230\ncurrency = "kwd"\n'
        '[product.metadata]\ncredit_amount = "10"'
    ),
}


@pytest.mark.parametrize("text", CATALOGUES.values(), ids=CATALOGUES)
async def test_a_second_run_changes_nothing(
    world: World, env: dict[str, str], tmp_path: Path, text: str
) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    for expected in ("created", "unchanged", "unchanged"):
        ran = await run("catalog", "apply", str(file), **env)
        assert ran.exit_code == 0, ran.output
        named = [line for line in ran.output.splitlines() if re.match(r"\w+ +[ab] ", line)]
        assert {line.split()[0] for line in named} == {expected}


async def test_what_the_dashboard_added_to_a_product_is_no_change_of_ours(
    world: World, env: dict[str, str]
) -> None:
    path = "/v1/products/payments_menu_adult"
    await world.stripe.post(path, data={"metadata[colour]": "red"})
    for _ in range(2):
        ran = await run("catalog", "apply", **env)
        assert "Nothing to change" in ran.output
    assert (await world.at_stripe("GET", path))["metadata"]["colour"] == "red"


async def test_a_product_archived_in_the_dashboard_is_offered_again(
    world: World, env: dict[str, str]
) -> None:
    await world.at_stripe("POST", "/v1/products/payments_menu_kids", active="false")
    [price] = (await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=menu_adult"))["data"]
    await world.at_stripe("POST", f"/v1/products/{price['product']}", default_price="")
    await world.at_stripe("POST", f"/v1/prices/{price['id']}", active="false")
    for expected in ("0 created, 2 updated, 0 archived.", "Nothing to change"):
        ran = await run("catalog", "apply", **env)
        assert expected in ran.output
    assert (await world.book())["total_cents"] == 44000


async def test_prices_that_name_no_currency_have_the_default_one(
    world: World, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500\n')
    ran = await run("catalog", "apply", str(file), **env, DEFAULT_CURRENCY="eur")
    assert "€5.00" in ran.output


BAD_CATALOGUES: list[tuple[str | None, str]] = [
    (None, "catalog.toml"),
    ("", "product"),
    ("[[product]", "catalog.toml"),
    ("product = 5", "product"),
    ('[[product]]\nkey = "a"\nname = "A"', "unit_amount"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 5.0', "unit_amount"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = "500"', "unit_amount"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 10', "50"),
    ('[[product]]\nkey = "A b"\nname = "A"\nunit_amount = 500', "key"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500\ncolour = 1', "colour"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500\n' * 2, "a"),
    ('[[product]]\nkey = "a"\nname = "A"\nunit_amount = 500\ncurrency = "x"', "currency"),
]


async def test_a_bad_catalogue_is_refused_in_one_line_and_changes_nothing(
    world: World, env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "catalog.toml"
    before = await world.at_stripe("GET", "/v1/products")
    for text, told in BAD_CATALOGUES:
        if text is not None:
            file.write_text(text)
        ran = await run("catalog", "apply", str(file), **env)
        assert isinstance(ran.exception, SystemExit), text
        assert ran.exit_code not in (0, None)
        assert told in ran.output, text
    assert await world.at_stripe("GET", "/v1/products") == before


async def test_a_live_key_needs_the_word_live() -> None:
    live = {
        "ENVIRONMENT": "production", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "SECRET_KEY": KEY,
        "FRONTEND_URLS": "https://shop.example",
    }  # fmt: skip
    ran = await run("catalog", "apply", **live)
    assert ran.exit_code != 0
    assert "--live" in ran.output


BAD = {
    "another database": {"DATABASE_URL": "mysql://u@h/d"},
    "no address": {"DATABASE_URL": "nonsense"},
    "production without keys": {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://h/d"},
    "a port that is none": {"PORT": "http", "DATABASE_URL": "postgresql://h/d"},
    "another version": {"STRIPE_API_VERSION": "2020-08-27", "DATABASE_URL": "postgresql://h/d"},
}


async def test_settings_that_cannot_be_are_refused_in_plain_lines() -> None:
    ran = await command("worker", SECRET_KEY=KEY)
    assert ran.code not in (0, None)
    assert "DATABASE_URL" in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    for other in (("serve", "--port", "0"), ("migrate",)):
        refused = (await run(*other, SECRET_KEY=KEY)).exception
        assert isinstance(refused, UnsafeSettings), refused
        assert "DATABASE_URL" in str(refused)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_settings_that_are_unsafe_stop_every_command(bad: dict[str, str]) -> None:
    for name in ("serve", "migrate", "catalog"):
        if name == "migrate" and "STRIPE_API_VERSION" in bad:
            continue  # a migration does not ask Stripe
        ran = await run(*((name, "apply") if name == "catalog" else (name,)), **bad)
        # what `main` says in plain lines; anything else would be a traceback
        assert isinstance(ran.exception, UnsafeSettings | SystemExit), (name, ran.exception)


async def test_a_database_that_is_away_is_said_in_one_line_by_what_needs_it(
    measured: dict[str, str],
) -> None:
    away = measured | {
        "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
    }
    for ran in await asyncio.gather(
        command("migrate", **away), command("catalog", "apply", **away)
    ):
        assert ran.code != 0
        assert len(ran.err.strip().splitlines()) == 1, ran.err


async def test_what_a_command_says_for_machines_is_that_alone(
    world: World, env: dict[str, str]
) -> None:
    key = "rk_test_restricted"
    rule = {"key": key, "allow": ["account:read"]}
    assert (await world.stripe.post("/_sandbox/keys", json=rule)).status_code == 201
    ran = await command("doctor", "--json", **env | {"STRIPE_SECRET_KEY": key})
    findings = {finding["topic"]: finding["state"] for finding in json.loads(ran.out)}
    assert "failed" in findings.values(), findings
    assert (ran.code, ran.err) == (1, "")


async def test_another_account_is_refused_in_one_line_that_names_both(
    world: World, env: dict[str, str]
) -> None:
    await world.db.execute("update installation set account = 'acct_other'")
    for ran in await asyncio.gather(
        command("serve", "--port", "0", **env), command("worker", **env)
    ):
        assert ran.code != 0
        line = ran.err.strip().splitlines()[-1]
        assert "acct_other" in line
        assert "DATABASE_URL" in line
        assert "Traceback" not in ran.err


async def test_migrate_says_where_the_database_is(env: dict[str, str]) -> None:
    ran = await run("migrate", **env, DATABASE_URL_SYNC="postgresql://ignored/x")
    assert ran.exit_code == 0, ran.output
    assert migrations.head() in ran.output
    assert "DATABASE_URL_SYNC" in ran.output


@pytest.mark.parametrize("how", ["serve", "uvicorn"])
async def test_the_service_starts_serves_and_stops(
    env: dict[str, str], measured: dict[str, str], how: str
) -> None:
    port = free_port()
    started = {
        "serve": (PAYMENTS, "serve", "--port", str(port)),
        "uvicorn": (sys.executable, "-m", "uvicorn", "payments.app:app", "--port", str(port)),
    }[how]
    traced = measured if how == "serve" else {}  # it takes twice as long
    process = await asyncio.create_subprocess_exec(
        *started,
        env=ENVIRONMENT | traced | env,
        cwd="/",
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert await ready(client, process), how
            assert (await client.get("/livez")).status_code == 200
            assert "server" not in (await client.get("/livez")).headers or how == "uvicorn"
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert b"Traceback" not in err


async def ready(client: httpx2.AsyncClient, process: asyncio.subprocess.Process) -> bool:
    while process.returncode is None:
        try:
            return (await client.get("/readyz")).status_code == 200
        except httpx2.ConnectError:
            await asyncio.sleep(0.1)
    return False


async def test_the_worker_applies_what_has_come_and_stops_when_told(
    world: World, env: dict[str, str], measured: dict[str, str]
) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking))
    for event in await world.events():
        await world.deliver(event)
    process = await asyncio.create_subprocess_exec(
        PAYMENTS, "worker", env=ENVIRONMENT | measured | env, cwd="/", stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            while (await world.booking(booking))["state"] != "confirmed":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err
    assert b"Traceback" not in err
