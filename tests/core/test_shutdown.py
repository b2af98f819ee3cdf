"""A server that is told to stop finishes what it has begun; a worker with a dead limb stops."""

import asyncio
import signal
import subprocess

import httpx2
import pytest

from core.test_cli import ENVIRONMENT, PAYMENTS, ready
from payments import worker
from ports import free_port
from service.variants import Gate, listening
from world import KEY, SECRET, World


async def closed(port: int) -> None:
    """Wait until nobody listens there any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return
        writer.close()
        await asyncio.sleep(0.02)


async def test_a_request_and_a_batch_are_finished_before_their_processes_end(world: World) -> None:
    await world.session(await world.book())
    await world.converge()
    [customer] = (await world.at_stripe("GET", "/v1/customers"))["data"]
    await world.at_stripe("POST", f"/v1/customers/{customer['id']}", name="Jenny Rosen")
    update = (await world.events())[-1]
    await world.deliver(update)
    booking = await world.book()

    selling = Gate(world.sandbox, "/v1/checkout/sessions")
    fetching = Gate(selling, f"/v1/customers/{customer['id']}")
    port, metrics = free_port(), free_port()
    assert world.settings.database_url is not None
    async with (
        listening(fetching) as stripe,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as api,
    ):
        env = ENVIRONMENT | {
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": stripe,
            "SECRET_KEY": KEY,
            "PORT": str(port),
            "WORKER_METRICS_PORT": str(metrics),
            "STRIPE_TIMEOUT": "60",
            "REQUEST_TIMEOUT": "60",
        }
        processes = [
            await asyncio.create_subprocess_exec(
                PAYMENTS, command, env=env, cwd="/", stderr=subprocess.PIPE
            )
            for command in ("serve", "worker")
        ]
        try:
            assert await ready(api, processes[0])
            path = "/api/v1/stripe/create-checkout-session"
            body = {"booking_id": booking["id"]}
            asked = asyncio.create_task(api.post(path, json=body, headers=world.bearer()))
            await asyncio.gather(selling.reached.wait(), fetching.reached.wait())
            worked = await api.get(f"http://127.0.0.1:{metrics}/metrics")
            for process in processes:
                process.send_signal(signal.SIGTERM)
            await closed(port)
            assert [process.returncode for process in processes] == [None, None]
            selling.opened.set()
            fetching.opened.set()
            answer = await asked
            said = [await process.communicate() for process in processes]
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
    assert answer.status_code == 200, answer.text
    assert "payments_events_total" in worked.text
    assert [process.returncode for process in processes] == [-signal.SIGTERM, 0], said
    assert b"Traceback" not in b"".join(err for _, err in said)
    [(outcome,)] = await world.rows("select outcome from stripe_events where id = $1", update["id"])
    assert outcome == "applied"


async def test_a_worker_one_of_whose_tasks_dies_stops_altogether(world: World) -> None:
    """Restart beats limping: here the outbox has lost a column, and only its lane can tell."""
    await world.db.execute("alter table outbox rename column facts to elsewhere")
    try:
        with pytest.raises(ExceptionGroup, match="TaskGroup") as died:
            async with asyncio.timeout(20):
                await worker.run(world.ctx, asyncio.Event())
    finally:
        await world.db.execute("alter table outbox rename column elsewhere to facts")
    assert "facts" in str(died.value.exceptions[0])
