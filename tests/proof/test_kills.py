"""kill -9 in the middle of two hundred payments: in the end every booking is as Stripe says."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from random import Random
from time import monotonic

import pytest

from payments.dev.postgres import EmbeddedPostgres
from proof.customers import USERS, Customers, stripes_objects, wrong
from proof.running import Running, running

pytestmark = pytest.mark.proof

PAYMENTS, KILLS = 200, 20


@pytest.mark.parametrize("victim", ["worker", "api"])
async def test_killing_a_process_twenty_times_loses_nothing(
    victim: str, say: Callable[[str], None]
) -> None:
    seed, started = random.randrange(10**6), monotonic()
    async with running() as found:
        await kill_now_and_then(found, victim, Customers(found, Random(seed)))
        errors, figures = await verdict(found)
    took = monotonic() - started
    say(f"{KILLS} kills of the {victim}, seed {seed}: {figures}, {took:.0f} s")
    assert errors == []


async def kill_now_and_then(found: Running, victim: str, customers: Customers) -> None:
    """Each kill falls into payments under way, at a random moment of theirs. Between two of them
    the process is up for as long as it was down, or Stripe's retries would grow to hours.
    """
    part = found.parts[victim]
    share = PAYMENTS // KILLS
    async with asyncio.TaskGroup() as paying:
        for first in range(0, PAYMENTS, share):
            started = monotonic()
            await part.ready()
            down = monotonic() - started
            for n in range(first, first + share):
                paying.create_task(customers.pay(n))
            await asyncio.sleep(down + customers.random.random() * 1.5)
            await part.kill()
            await part.start()
    await part.ready()


async def test_killing_the_database_loses_nothing_and_takes_nobody_with_it(
    say: Callable[[str], None],
) -> None:
    seed, started = random.randrange(10**6), monotonic()
    async with running() as found:
        customers = Customers(found, Random(seed))
        async with asyncio.TaskGroup() as paying:
            for n in range(PAYMENTS):
                paying.create_task(customers.pay(n))
            await asyncio.sleep(3 + customers.random.random() * 5)
            os.kill(postmaster(found), signal.SIGKILL)
            # Another user of the same folder starts the server that the first has lost.
            await found.held.enter_async_context(EmbeddedPostgres(found.folder))
        errors, figures = await verdict(found)
        assert [name for name, part in found.parts.items() if not part.alive] == []
    took = monotonic() - started
    say(f"a kill of the postmaster, seed {seed}: {figures}, {took:.0f} s")
    assert errors == []


def postmaster(found: Running) -> int:
    (pidfile,) = found.folder.rglob("postmaster.pid")
    return int(pidfile.read_text().splitlines()[0])


async def verdict(found: Running) -> tuple[list[str], str]:
    """Wait for the end; name what is wrong, and the figures."""
    await found.quiet()
    stripe = await stripes_objects(found)
    errors = await wrong(found, stripe, PAYMENTS)
    if (made := len(stripe["customer"])) != USERS:
        errors.append(f"{made} customers were made for {USERS} users")
    paid = sum(intent["status"] == "succeeded" for intent in stripe["payment_intent"])
    events = await found.db.fetchval("select count(*) from stripe_events")
    figures = (
        f"{PAYMENTS} bookings, {paid} payments, {len(stripe['refund'])} refunds, {events} events, "
        f"{len(errors)} wrong"
    )
    return errors, figures
