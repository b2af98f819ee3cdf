"""How many webhooks a second are acknowledged, as a share of a route that only reads the body.

Both are served by one uvicorn process over the same connections, in turns. A webhook counts when it
was answered with 200, which is after its signature was verified and its row was committed with
fsync. The worker does not run: applying is not part of the answer.
"""

import asyncio
import os
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import asyncpg
from rich.console import Console

from bench.load import CONNECTIONS, Load, generator, post, write_events
from bench.server import BARE
from payments.dev.postgres import EmbeddedPostgres
from payments.dev.stack import answering, payments_command

ROUNDS = 3
SECONDS = 4
EVENTS_A_SECOND = 6000  # more than one process acknowledges, so that none is posted twice
SECRET = "whsec_bench"  # noqa: S105 - signs made-up events for a server of our own
WEBHOOK = "/api/v1/stripe/webhook"
SERVER = ["-m", "uvicorn", "bench.server:create_app", "--factory", "--no-access-log"]

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's own user passes here
        asyncio.run(measure(folder))


async def measure(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as database:
        await database.ensure_database()
        async with serving(environment(database.url())) as url:
            bare, webhook = await rounds(url, folder)
        stored = await count(database.url())
    report(bare, webhook, stored)


async def rounds(url: str, folder: Path) -> tuple[list[Load], list[Load]]:
    """Bare, webhook, bare, webhook …: what slows the machine for a while slows both."""
    bare, webhook = [], []
    events = folder / "events.tsv"
    for _ in range(ROUNDS):
        write_events(events, secret=SECRET, count=EVENTS_A_SECOND * SECONDS)
        bare.append(await post(f"{url}{BARE}", events, seconds=SECONDS))
        webhook.append(await post(f"{url}{WEBHOOK}", events, seconds=SECONDS))
    return bare, webhook


def report(bare: list[Load], webhook: list[Load], stored: int) -> None:
    base, rate = (median(load.rate for load in loads) for loads in (bare, webhook))
    ratios = [ours.rate / theirs.rate for ours, theirs in zip(webhook, bare, strict=True)]
    acknowledged = sum(load.requests - load.refused for load in webhook)
    refused = sum(load.refused for load in webhook)
    console.print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s each, {generator()}")
    console.print(f"  bare route             {base:8,.0f} /s")
    console.print(f"  webhook, acknowledged  {rate:8,.0f} /s   {median(ratios):.2f} of bare")
    console.print(f"  rounds                 {'  '.join(f'{ratio:.2f}' for ratio in ratios)}")
    console.print(f"  {acknowledged:,} acknowledged, {stored:,} stored, {refused:,} refused")
    if stored < acknowledged:
        raise SystemExit("a webhook was acknowledged and not stored")


async def count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM stripe_events"))
    finally:
        await connection.close()


def environment(database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_bench",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": "b" * 32,
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "warning",
    }


@asynccontextmanager
async def serving(env: Mapping[str, str]) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    migrated = await start(payments_command("migrate"), env)
    if await migrated.wait():
        raise SystemExit("the migration failed")
    server = await start([sys.executable, *SERVER, "--port", port], env)
    try:
        await answering(f"http://127.0.0.1:{port}/livez")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        await server.wait()


async def start(command: list[str], env: Mapping[str, str]) -> Process:
    quiet = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, env=env, stdout=quiet, stderr=quiet)


if __name__ == "__main__":
    main()
