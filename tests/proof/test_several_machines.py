"""Two API and two worker processes on one PostgreSQL, behind a PgBouncer in transaction mode."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from random import Random
from time import monotonic

import asyncpg
import httpx2
import pytest

from dev.folders import open_folder
from payments.core import migrations
from payments.dev.postgres import EmbeddedPostgres
from ports import free_port
from proof.customers import Customers, stripes_objects, wrong
from proof.running import Part, Running, connected
from world import SECRET, Json

pytestmark = pytest.mark.proof

PAYMENTS, REFUNDS = 120, 10
SESSIONS = 8
"""That PgBouncer holds at PostgreSQL, for forty connections of four processes."""
BOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
WEBHOOK = "/api/v1/stripe/webhook"


class Balancer(httpx2.AsyncHTTPTransport):
    """Gives each request to the next machine."""

    def __init__(self, *ports: int) -> None:
        super().__init__(limits=httpx2.Limits(max_keepalive_connections=0))
        self._ports = cycle(ports)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=next(self._ports))
        return await super().handle_async_request(request)


@asynccontextmanager
async def pgbouncer(folder: Path, server: EmbeddedPostgres) -> AsyncIterator[str]:
    """PgBouncer before the server; yields the address of the database behind it."""
    port, sockets = free_port(), folder / "postgres" / "sockets"
    run_as = "user = nobody" if os.geteuid() == 0 else ""
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"""[databases]
payments = host={sockets} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SESSIONS}
{run_as}
"""
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/payments"
    with (folder / "pgbouncer.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(BOUNCER, config, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(10):
            while not await answers(url):
                assert process.returncode is None, (folder / "pgbouncer.log").read_text()
        yield url
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
    except OSError:
        await asyncio.sleep(0.02)
        return False
    await connection.close()
    return True


@asynccontextmanager
async def machines() -> AsyncIterator[Running]:
    """Each API is an endpoint of Stripe's own, with a secret of its own: each event comes twice."""
    async with AsyncExitStack() as held:
        folder = held.enter_context(open_folder())
        server = await held.enter_async_context(EmbeddedPostgres(folder))
        await server.ensure_database()
        await migrations.upgrade(server.url())
        pooled = await held.enter_async_context(pgbouncer(folder, server))
        addresses = {"database_url": pooled, "database_url_listen": server.url()}
        found = await connected(held, folder, server, database_pooler="transaction", **addresses)
        ports = [int(found.api.base_url.port or 0), free_port()]
        sandbox, api, worker = found.parts.values()
        await sandbox.start()
        await sandbox.ready()
        url = f"http://127.0.0.1:{ports[1]}{WEBHOOK}"
        form = {"url": url, "enabled_events[0]": "*"}
        second = await found.at_stripe("POST", "/v1/webhook_endpoints", **form)
        api.env["STRIPE_WEBHOOK_SECRET"] = f"{SECRET},{second['secret']}"
        found.parts["api 2"] = another(api, [*api.command[:-1], str(ports[1])])
        found.parts["worker 2"] = another(worker, worker.command)
        found.api = await held.enter_async_context(
            httpx2.AsyncClient(base_url=found.api.base_url, transport=Balancer(*ports), timeout=15)
        )
        for name in ("api", "api 2", "worker", "worker 2"):
            await found.parts[name].start()
        for _ in ports:
            await api.ready()
        await listening(found, 2)
        yield found


def another(part: Part, command: list[str]) -> Part:
    return replace(part, command=command, log=part.log.with_stem(f"{part.log.stem}-2"))


async def listening(found: Running, number: int) -> None:
    """Wait until so many workers listen, past PgBouncer."""
    query = "select count(*) from pg_stat_activity where query ilike 'listen%'"
    async with asyncio.timeout(30):
        while await found.db.fetchval(query) != number:  # noqa: ASYNC110 - other processes have no event to await
            await asyncio.sleep(0.05)


async def refund_once(found: Running, payment: Json, n: int) -> set[str]:
    """The same request to both machines at once."""
    body = {"payment_id": payment["id"], "amount_cents": 100 + n}
    key = {"Idempotency-Key": f"refund-{n}"}
    ask = [found.ask("POST", "/stripe/refund", body, role="admin", **key) for _ in range(2)]
    return {answer["request_id"] for answer in await asyncio.gather(*ask)}


@pytest.mark.skipif(not Path(BOUNCER).exists(), reason="no pgbouncer: apt-get install pgbouncer")
async def test_four_processes_behind_pgbouncer_are_one_service(say: Callable[[str], None]) -> None:
    seed, started = random.randrange(10**6), monotonic()
    async with machines() as found:
        customers = Customers(found, Random(seed))
        async with asyncio.TaskGroup() as paying:
            for n in range(PAYMENTS):
                paying.create_task(customers.pay(n))
        await found.quiet()
        sessions = await found.db.fetchval(
            "select count(*) from pg_stat_activity where datname = 'payments' "
            "and pid <> pg_backend_pid() and query not ilike 'listen%'"
        )
        paid = (await found.ask("GET", "/stripe/payments?status=succeeded"))["data"]
        made = [await refund_once(found, payment, n) for n, payment in enumerate(paid[:REFUNDS])]
        await found.quiet()
        errors = await wrong(found, await stripes_objects(found), PAYMENTS)
        events = await found.db.fetchval("select count(*) from stripe_events where body <> ''")
        secrets = await found.db.fetchval("select count(*) from webhook_secrets")
        dry = {"type": ["*"], "dry_run": True}
        rehearsal = await found.ask("POST", "/stripe/events/replay", dry, role="admin")
        logs = [part.log.read_text() for part in found.parts.values()]
    took = monotonic() - started
    say(
        f"two APIs, two workers, {sessions} sessions behind PgBouncer, seed {seed}: {PAYMENTS} "
        f"bookings, {events} events that came twice, {len(errors)} wrong, {took:.0f} s"
    )
    assert errors == []
    assert secrets == 2, "each event came by two endpoints"
    assert rehearsal["rehearsal"]["differences"] == []
    assert [len(requests) for requests in made] == [1] * REFUNDS
    assert not [line for log in logs for line in log.splitlines() if "prepared" in line]
    assert sessions <= SESSIONS + 2, "the pool of this test holds up to two itself"
