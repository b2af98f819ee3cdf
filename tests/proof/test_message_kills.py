"""A worker that is killed -9 while the mail server holds its letter, again and again."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.test_cli import ENVIRONMENT
from messages.post_office import PostOffice, open_post_office
from payments.sync.outbox import Message, enqueue
from service.variants import listening
from world import KEY, SECRET, World

pytestmark = pytest.mark.proof

ADMIN = "ann@shop.example"
MESSAGES, KILLS = 12, 4


@asynccontextmanager
async def worker(
    world: World, stripe: str, office: PostOffice
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The worker in a process of its own."""
    assert world.settings.database_url is not None
    env = ENVIRONMENT | {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": stripe,
        "SECRET_KEY": KEY,
        "SMTP_URL": f"smtp://127.0.0.1:{office.port}",
        "MAIL_FROM": "payments@shop.example",
        "ADMIN_EMAILS": ADMIN,
    }
    command = [sys.executable, "-c", "from payments.cli import main; main()", "worker"]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd="/", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def tell(world: World, n: int) -> None:
    facts = {"event": f"evt_{n}", "type": "refund.failed", "object": f"re_{n}", "error": "none"}
    key = f"dead_event:evt_{n}"
    async with world.ctx.db.transaction() as tx:
        await enqueue(tx, [Message(key, "dead_event", "admin", about=f"re_{n}", facts=facts)])


async def test_each_letter_arrives_and_the_second_of_a_kill_has_the_first_ones_message_id(
    world: World,
) -> None:
    for n in range(MESSAGES):
        await tell(world, n)
    async with open_post_office() as office, listening(world.sandbox) as stripe:
        at_once = office.taken
        for _ in range(KILLS):
            async with worker(world, stripe, office) as process:
                office.taken = lambda killed=process: kill(killed)  # type: ignore[misc]  # its process
                await asyncio.wait_for(process.wait(), 30)
            await world.db.execute("update outbox set not_before = now() where outcome is null")
        office.taken = at_once
        async with worker(world, stripe, office):
            await quiet(world)
    sent = await world.db.fetchval("select count(*) from outbox where outcome = 'sent'")
    letters = Counter(letter["Subject"] for letter in office.letters)
    assert sent == len(letters) == MESSAGES
    assert len({letter["Message-ID"] for letter in office.letters}) == MESSAGES
    assert len(office.letters) > MESSAGES, "no kill fell between a sending and its commit"


async def kill(process: asyncio.subprocess.Process) -> None:
    """The letter is here, and its sender never hears that it is."""
    if process.returncode is None:
        process.kill()
    await asyncio.Event().wait()


async def quiet(world: World) -> None:
    async with asyncio.timeout(60):
        while await world.db.fetchval("select count(*) from outbox where not_before is not null"):  # noqa: ASYNC110 - another process has no event to await
            await asyncio.sleep(0.1)
