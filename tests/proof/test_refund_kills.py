"""An API process that is killed -9 between reserving, calling Stripe and applying."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from converge.test_refunds import check, fault, finish, paid
from core.test_cli import ENVIRONMENT, ready
from ports import free_port
from service.variants import listening
from world import KEY, SECRET, Json, World

pytestmark = pytest.mark.proof

PLACES: dict[str, Json] = {
    "before Stripe has heard of it": {"cut": True, "times": 30},
    "while Stripe makes it": {"delay_seconds": 0.5, "times": 1},
    "before the answer is applied": {"delay_seconds": 30, "when": "after"},
}


@asynccontextmanager
async def api(world: World, stripe: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The API in a process of its own."""
    assert world.settings.database_url is not None
    env = ENVIRONMENT | {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": stripe,
        "SECRET_KEY": KEY,
    }
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "payments.app:app", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd="/", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url) as client:
            assert await ready(client, process)
        yield url, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("place", PLACES)
async def test_a_process_killed_at_any_step_leaves_what_is_finished_once(
    world: World, place: str
) -> None:
    payment = await paid(world)
    async with listening(world.sandbox) as stripe, api(world, stripe) as (url, process):
        await fault(world, **PLACES[place])
        sent = asyncio.create_task(send(world, url, payment))
        faults = world.sandbox.sandbox.faults
        while sum(one.times for one in faults._waiting) not in (0, 29):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        process.kill()
        assert isinstance((await asyncio.gather(sent, return_exceptions=True))[0], Exception)
    [request] = await world.rows("select state from refund_requests")
    assert request["state"] == "requested"
    await asyncio.sleep(1)  # Stripe goes on without us
    await finish(world)
    assert len(await check(world, payment)) == 1
    again = await world.api.post(
        "/api/v1/stripe/refund",
        json={"payment_id": payment, "amount_cents": 5000},
        headers=world.bearer("boss", "admin") | {"Idempotency-Key": "k"},
    )
    assert again.status_code in (200, 409), again.text  # the lease of the dead process: a minute
    assert len(await check(world, payment)) == 1


async def send(world: World, url: str, payment: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        return await client.post(
            "/api/v1/stripe/refund",
            json={"payment_id": payment, "amount_cents": 5000},
            headers=world.bearer("boss", "admin") | {"Idempotency-Key": "k"},
        )
