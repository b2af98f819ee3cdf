"""What a measurement stands on: a PostgreSQL that syncs to the disk, the API and the worker."""

import asyncio
import os
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from bench.events import DEPOSIT_CENTS, SECRET, write
from payments.dev.postgres import EmbeddedPostgres
from payments.dev.stack import answering, payments_command

UVICORN = [sys.executable, "-m", "uvicorn", "--factory", "--no-access-log", "--log-level", "error"]
TICK = 0.01
KEY = "b" * 32

BOOK = """
insert into bookings (id, user_id, currency, total_cents, deposit_cents)
select 'bk_bench_' || n, 'user_' || n, 'usd', 5 * $3, $3
from generate_series($1::bigint, $2::bigint) n
"""
STAMP = "insert into installation (account, livemode) values ('acct_bench', false)"
LEFT = "select from stripe_events where not_before is not null"
LISTENING = "select from pg_stat_activity where query ilike 'listen%'"

Told = Callable[[int], None]
"""Hears how many steps have been done since it was told last."""


@dataclass
class Rig:
    """A database, and the processes that work on it while a measurement holds them."""

    folder: Path
    database_url: str
    db: asyncpg.Connection
    booked: int = 0
    processes: dict[str, Process] = field(default_factory=dict)

    async def fresh_events(self, count: int) -> Path:
        """A file of signed events, each for a booking of its own that nobody has paid for."""
        first, self.booked = self.booked, self.booked + count
        await self.db.execute(BOOK, first, self.booked - 1, DEPOSIT_CENTS)
        return write(self.folder / "events.tsv", range(first, self.booked))

    def api(self) -> AbstractAsyncContextManager[str]:
        """The product, and the bare route."""
        return self._serving("api", "create_app")

    def hand_written(self) -> AbstractAsyncContextManager[str]:
        return self._serving("hand-written handler", "hand_written")

    @asynccontextmanager
    async def _serving(self, name: str, factory: str) -> AsyncIterator[str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [*UVICORN, f"bench.server:{factory}", "--port", port]
        async with self._running(name, command):
            await answering(f"http://127.0.0.1:{port}/openapi.json")
            yield f"http://127.0.0.1:{port}"

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        async with self._running("worker", payments_command("worker")):
            await self._until(f"select exists ({LISTENING})")
            yield

    @asynccontextmanager
    async def _running(self, name: str, command: list[str]) -> AsyncIterator[None]:
        env = environment(self.database_url)
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=DEVNULL)
        self.processes[name] = process
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            del self.processes[name]

    async def drained(self) -> None:
        """Wait until nothing is left to apply."""
        await self._until(f"select not exists ({LEFT})")

    async def _until(self, query: str) -> None:
        while not await self.db.fetchval(query):
            for name, process in self.processes.items():
                if process.returncode is not None:
                    raise SystemExit(f"the {name} has ended")
            await asyncio.sleep(TICK)

    async def count(self, table: str, where: str = "true") -> int:
        query = f"select count(*) from {table} where {where}"  # noqa: S608 - of the measurements' own
        return int(await self.db.fetchval(query))

    def resident_mb(self, name: str) -> float:
        """What a process holds in memory now."""
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@asynccontextmanager
async def open_rig() -> AsyncIterator[Rig]:
    """A new database, migrated and stamped, that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - PostgreSQL's own user passes here
        folder = Path(name)
        async with EmbeddedPostgres(folder / "postgres") as server:
            await server.ensure_database()
            migrate = payments_command("migrate")
            env = environment(server.url())
            migrated = await asyncio.create_subprocess_exec(*migrate, env=env, stdout=DEVNULL)
            if await migrated.wait():
                raise SystemExit("the migration failed")
            db = await asyncpg.connect(server.url())
            try:
                await db.execute(STAMP)
                yield Rig(folder, server.url(), db)
            finally:
                await db.close()


def environment(database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_bench",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": KEY,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "error",
        "RATE_LIMIT_PER_MINUTE": "0",
    }
