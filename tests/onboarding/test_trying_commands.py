"""`payments test-integration`, `test-webhooks` and `logs`: what one looks at when in doubt."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from onboarding.commands import run
from service.plans import catch_up
from service.variants import listening
from world import KEY, Json, World

Env = dict[str, str]

PAYMENTS = Path(sys.executable).with_name("payments")


async def beside(
    world: World, running: Any, working: Callable[[World], Awaitable[None]] = catch_up
) -> Result:
    """What a command says while Stripe delivers and a worker works."""
    task = asyncio.create_task(running)
    while not task.done():
        await working(world)
        await asyncio.wait([task], timeout=0.1)
    return task.result()  # type: ignore[no-any-return]


async def test_the_round_trip_pays_refunds_subscribes_and_leaves_nothing_behind(
    world: World, env: Env
) -> None:
    sold = await world.ask("GET", "/stripe/products")
    ran = await beside(world, run("test-integration", "--yes", **env))
    assert ran.exit_code == 0, ran.output
    ticks = re.findall(r"^✓ (.+?)  ", ran.output, re.MULTILINE)
    assert ticks == [
        "Customer", "Product", "Payment", "Refund", "Subscription", "Webhook", "Clean up",
    ]  # fmt: skip
    await catch_up(world)
    [act] = await world.rows("select actor, act from audit_log where actor <> 'system'")
    assert tuple(act) == ("command line", "integration.tested")
    [intent] = (await world.at_stripe("GET", "/v1/payment_intents?limit=1"))["data"]
    assert intent["status"] == "succeeded"
    [refund] = (await world.at_stripe("GET", "/v1/refunds"))["data"]
    assert refund["amount"] == intent["amount"] == 1000
    [subscription] = (await world.at_stripe("GET", "/v1/subscriptions?status=all"))["data"]
    assert subscription["status"] == "canceled"
    assert (await world.at_stripe("GET", "/v1/customers"))["data"] == []
    assert await world.ask("GET", "/stripe/products") == sold
    assert await world.rows("select * from waiting_grants") == []
    assert await world.rows("select * from credit_entries") == []


async def test_without_events_the_round_trip_says_what_to_do_and_still_cleans_up(
    world: World, env: Env
) -> None:
    ran = await run("test-integration", "--yes", "--wait", "0", **env)
    assert ran.exit_code == 1
    assert "✗ Webhook" in ran.output
    assert "payments webhooks register" in ran.output
    assert "✓ Clean up" in ran.output
    assert (await world.at_stripe("GET", "/v1/customers"))["data"] == []


async def test_an_interrupted_round_trip_cleans_up_too(world: World, env: Env) -> None:
    process = await asyncio.create_subprocess_exec(
        PAYMENTS, "test-integration", "--yes", "--wait", "60", cwd="/",
        env=env | {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            while b"Subscription" not in await process.stdout.readline():
                pass
            assert (await world.at_stripe("GET", "/v1/customers"))["data"] != []
            process.send_signal(signal.SIGINT)
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode != 0
    assert (await world.at_stripe("GET", "/v1/customers"))["data"] == []


async def test_the_round_trip_asks_before_it_begins(world: World, env: Env) -> None:
    before = await world.events()
    ran = await run("test-integration", **env)
    assert (ran.exit_code, "say --yes" in ran.output) == (1, True)
    assert await world.events() == before


async def test_a_key_that_may_not_write_ends_the_round_trip_at_that_step(
    world: World, env: Env
) -> None:
    key = "rk_test_that_may_not_sell"
    rule = {"key": key, "allow": ["account:read", "customer:write"]}
    assert (await world.stripe.post("/_sandbox/keys", json=rule)).status_code == 201
    ran = await run("test-integration", "--yes", **env | {"STRIPE_SECRET_KEY": key})
    assert ran.exit_code == 1
    assert "✓ Customer" in ran.output
    assert "✗ Product" in ran.output
    assert "payments doctor" in ran.output
    assert "Payment  " not in ran.output
    assert (await world.at_stripe("GET", "/v1/customers"))["data"] == []


async def test_the_round_trip_refuses_a_live_key() -> None:
    live = {
        "ENVIRONMENT": "production", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "SECRET_KEY": KEY,
        "FRONTEND_URLS": "https://shop.example",
    }  # fmt: skip
    ran = await run("test-integration", "--yes", **live)
    assert (ran.exit_code, "live key" in ran.output) == (1, True)


async def test_a_signed_event_is_stored_and_applied(world: World, env: Env) -> None:
    async with listening(world.app) as api:
        to = ("--url", f"{api}/api/v1/stripe/webhook")
        late = await run("test-webhooks", *to, "--wait", "0", **env)
        assert late.exit_code == 1
        assert "✓ secret" in late.output
        assert "start `payments worker`" in late.output
        ran = await beside(world, run("test-webhooks", *to, **env), World.work)
    assert ran.exit_code == 0, ran.output
    [applied] = re.findall(r"✓ worker: applied (\S+)", ran.output)
    [row] = await world.rows("select type, outcome from stripe_events where id = $1", applied)
    assert tuple(row) == ("product.updated", "applied")
    assert await world.rows("select * from webhook_secrets") == [], "Stripe has used none"

    gone = await run("test-webhooks", *to, **env)
    assert gone.exit_code == 1
    assert "does not answer" in gone.output
    assert "worker" not in gone.output


@pytest.fixture
async def history(world: World) -> list[Json]:
    """Three events that were applied, the oldest first."""
    for number in range(3):
        await world.at_stripe("POST", "/v1/customers", name=f"No. {number}")
    events = await world.events(type="customer.created")
    await world.converge(events)
    return events


async def test_the_log_shows_what_became_of_events_page_by_page(
    world: World, env: Env, history: list[Json]
) -> None:
    ran = await run("logs", "--last-24h", **env)
    assert ran.exit_code == 0, ran.output
    for event in history:
        assert re.search(rf"applied .*{event['id']}  customer.created  cus_", ran.output)
    assert "events since" in ran.output

    seen = []
    after: tuple[str, ...] = ()
    while True:
        ran = await run("logs", "--type", "customer.*", "--limit", "2", *after, **env)
        seen += re.findall(r"(evt_\w+)  customer", ran.output)
        if (more := re.search(r"--after (\S+)", ran.output)) is None:
            break
        after = ("--after", more[1])
    assert sorted(seen) == sorted(event["id"] for event in history)


async def test_the_log_shows_only_the_time_that_is_asked_for_and_failures_alone(
    world: World, env: Env, history: list[Json]
) -> None:
    [first, second, _] = [event["id"] for event in history]
    await world.db.execute(
        "update stripe_events set received_at = received_at - $1::interval where id = $2",
        timedelta(days=3), first,
    )  # fmt: skip
    await world.db.execute(
        "update stripe_events set outcome = 'dead', error = 'no such customer' where id = $1",
        second,
    )
    assert first not in (await run("logs", **env)).output
    assert first in (await run("logs", "--last", "7d", **env)).output
    failed = (await run("logs", "--failed", **env)).output
    assert re.findall(r"evt_\w+", failed) == [second]
    assert "no such customer" in failed
    assert "1 events since" in failed


@pytest.mark.parametrize(
    "arguments", [("--last", "yesterday"), ("--last", "0h"), ("--last", "7d", "--last-24h")]
)
async def test_a_time_that_is_none_is_refused(arguments: tuple[str, ...]) -> None:
    ran = await run("logs", *arguments)
    assert (ran.exit_code, "payments logs: " in ran.output) == (1, True)
