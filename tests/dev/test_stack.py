"""`payments dev` starts everything, and stops everything whatever happens to it."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from dev import processes, stacks
from dev.folders import open_folder
from payments.dev.postgres import EmbeddedPostgres
from service.variants import listening
from stripe_sandbox.app import create_app as create_sandbox
from stripe_sandbox.config import Config
from world import BOOKING

BOOKINGS = "/api/v1/bookings"


@pytest.fixture(scope="module")
async def first_run(measured: dict[str, str]) -> AsyncIterator[tuple[Path, list[str]]]:
    """A data directory as the first start leaves it, and what that start said."""
    with open_folder() as folder:
        async with stacks.ready(folder / "data", env=measured) as stack:
            assert await stack.stop(signal.SIGINT) == 0
        yield folder / "data", stack.lines


@pytest.fixture
def data_dir(first_run: tuple[Path, list[str]]) -> Iterator[Path]:
    with open_folder() as folder:
        subprocess.run(["cp", "-a", str(first_run[0]), str(folder / "data")], check=True)
        yield folder / "data"


def family(data_dir: Path) -> list[int]:
    return processes.mentioning(str(data_dir))


async def bookings(url: str, token: str = "dev-token") -> list[dict[str, object]]:
    async with httpx2.AsyncClient(base_url=url) as client:
        answer = await client.get(BOOKINGS, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        data: list[dict[str, object]] = answer.json()["data"]
        return data


def test_the_first_start_tells_how_a_booking_is_paid(first_run: tuple[Path, list[str]]) -> None:
    said = "\n".join(first_run[1])
    started = ["PostgreSQL", "Migrations", "Offline Stripe", "A customer books"]
    told = ["pending", "pays the deposit", "confirmed", "pays the balance", "paid\n", "Demo shop"]
    places = [said.index(step) for step in started + told]
    assert places == sorted(places)
    assert said.endswith("Stopped.")
    processes.wait_until_gone(*family(first_run[0]))


async def test_the_second_start_keeps_the_data_and_a_dead_worker_stops_all(data_dir: Path) -> None:
    async with stacks.ready(data_dir) as stack:
        assert "A customer books" not in stack.output
        assert [booking["state"] for booking in await bookings(stack.url)] == ["paid"]
        assert await bookings(stack.url, "other-token") == []
        async with httpx2.AsyncClient(base_url=stack.url, follow_redirects=True) as client:
            assert "Hibachi at home" in (await client.get("/")).text
            assert (await client.get(BOOKINGS)).status_code == 401
        assert len(family(data_dir)) >= 6, "stack, keeper, API, worker, Stripe, PostgreSQL"

        (worker,) = [pid for pid in family(data_dir) if is_worker(pid)]
        os.kill(worker, signal.SIGKILL)
        await stack.read()

        assert await stack.process.wait() == 1
        assert "worker ended with status -9" in stack.output
        assert str(data_dir / "logs/worker.log") in stack.output
    processes.wait_until_gone(*family(data_dir))


def is_worker(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0worker\0")


async def test_fresh_forgets_all_and_a_killed_stack_leaves_no_process(data_dir: Path) -> None:
    async with stacks.started(data_dir, "--fresh") as stack:
        await stack.read(until=f"--fresh: emptying {data_dir}")
        await stack.read(until="Migrations")
        async with EmbeddedPostgres(data_dir) as server:
            database = await asyncpg.connect(server.url())
            assert await database.fetchval("SELECT count(*) FROM bookings") == 0
            await database.close()
        everyone = family(data_dir)
        stack.process.kill()
        await stack.process.wait()
        processes.wait_until_gone(*everyone)
    processes.wait_until_gone(*family(data_dir))


@pytest.mark.proof
async def test_with_a_test_key_alone_the_first_payment_arrives_without_a_webhook() -> None:
    account = create_sandbox(Config(base_url="http://stripe.test"))
    async with listening(account) as stripe:
        env = {"STRIPE_SECRET_KEY": "sk_test_51RealisticKey", "STRIPE_API_BASE": stripe}
        with open_folder() as folder:
            async with stacks.started(folder / "data", env=env) as stack:
                await stack.read(until="STRIPE_WEBHOOK_SECRET to the whsec_")
                assert "events are polled" in stack.output
                assert (
                    f"stripe listen --forward-to {stack.url}/api/v1/stripe/webhook" in stack.output
                )
                await book_and_pay(stack.url, stripe)
                async with asyncio.timeout(20):
                    while [one["state"] for one in await bookings(stack.url)] != ["confirmed"]:  # noqa: ASYNC110 - other processes
                        await asyncio.sleep(0.2)
                assert await stack.stop(signal.SIGINT) == 0
    await account.sandbox.aclose()


async def book_and_pay(api: str, stripe: str) -> None:
    """What the customer does: the deposit of a booking, on Stripe's page."""
    headers = {"Authorization": "Bearer dev-token"}
    async with httpx2.AsyncClient(headers=headers) as client:
        booking = (await client.post(f"{api}{BOOKINGS}", json=BOOKING)).json()["id"]
        opened = await client.post(
            f"{api}/api/v1/stripe/create-checkout-session",
            json={"booking_id": booking, "payment_type": "deposit"},
        )
        session = opened.json()
        paid = await client.post(
            f"{stripe}/v1/payment_pages/{session['session_id']}/confirm",
            data={"payment_method": "pm_card_visa", "expected_amount": session["amount_cents"]},
            headers={"Authorization": "Bearer sk_test_51RealisticKey"},
        )
        assert paid.status_code == 200, paid.text


@pytest.mark.proof
async def test_a_dead_postgres_stops_the_stack(data_dir: Path) -> None:
    async with stacks.started(data_dir) as stack:
        await stack.read(until="Migrations")
        pidfile = data_dir / "postgres/cluster/postmaster.pid"
        os.kill(int(pidfile.read_text().splitlines()[0]), signal.SIGKILL)
        await stack.read()
        assert await stack.process.wait() == 1
        assert "ended" in stack.output
    processes.wait_until_gone(*family(data_dir))


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with stacks.started(tmp_path / "data", port=port) as stack:
            await stack.read()
            assert await stack.process.wait() == 1
    assert stack.lines == [
        f"Port {port} is in use: stop what listens there, or choose another with --port."
    ]


async def test_a_second_stack_on_the_same_data_is_one_line(data_dir: Path) -> None:
    async with stacks.started(data_dir) as first:
        await first.read(until="PostgreSQL")
        async with stacks.started(data_dir) as second:
            await second.read()
            assert await second.process.wait() == 1
        assert len(second.lines) == 1
        assert "Another `payments dev` runs" in second.output
        assert await first.stop(signal.SIGHUP) == 0
    processes.wait_until_gone(*family(data_dir))
