"""A database that stalls for five seconds under load: 200 or 503, and never a 200 without a row."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Final

import httpx2
import orjson
import pytest
import stripe

from proof.running import Running, running
from world import SECRET

pytestmark = pytest.mark.proof

SECONDS: Final = 5
SENDERS: Final = 96
IMPATIENCE: Final = 0.5
"""Seconds until a sender hangs up and sends the next, so that what waits grows all the time."""
GROWTH_KB: Final = 64 * 1024
BODY: Final = {"object": "event", "type": "galaxy.created", "data": {"object": {"id": "x" * 2000}}}


@dataclass
class Senders:
    """They post events of their own to the API, each as quickly as it is answered."""

    url: str
    numbers: Iterator[int] = field(default_factory=count)
    answers: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_all(self) -> None:
        limits = httpx2.Limits(max_connections=SENDERS)
        async with (
            httpx2.AsyncClient(timeout=IMPATIENCE, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(SENDERS):
                group.create_task(self._send(client))

    async def _send(self, client: httpx2.AsyncClient) -> None:
        while not self.over.is_set():
            id = f"evt_{next(self.numbers)}"
            body = orjson.dumps({"id": id, **BODY})
            header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)
            try:
                answer = await client.post(
                    self.url, content=body, headers={"Stripe-Signature": header}
                )
            except httpx2.TransportError as exc:
                self.answers[type(exc).__name__] += 1
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.is_success:
                self.taken.add(id)


@asynccontextmanager
async def locked_table(found: Running) -> AsyncIterator[None]:
    async with found.db.acquire() as connection, connection.transaction():
        await connection.execute("lock table stripe_events in access exclusive mode")
        yield


@asynccontextmanager
async def stopped_server(found: Running) -> AsyncIterator[None]:
    """The server and each of its sessions stand still, and their sockets stay open."""
    server = found.postmaster
    processes = [server, *children(server)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            os.kill(process, signal.SIGCONT)


def children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(process) for process in text.split()]


def kilobytes(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize("stall", [locked_table, stopped_server])
async def test_a_stalled_database_costs_no_acknowledged_event_and_no_memory(
    stall: Callable[[Running], AbstractAsyncContextManager[None]], say: Callable[[str], None]
) -> None:
    async with running() as found:
        api = found.parts["api"].process
        assert api is not None
        senders = Senders(f"{found.api.base_url}/api/v1/stripe/webhook")
        async with asyncio.TaskGroup() as group:
            group.create_task(senders.send_all())
            await asyncio.sleep(2)
            before, acknowledged = kilobytes(api.pid, "VmRSS"), len(senders.taken)
            started = monotonic()
            async with stall(found):
                await asyncio.sleep(SECONDS)
                during = len(senders.taken) - acknowledged
            lasted = monotonic() - started
            await asyncio.sleep(2)
            senders.over.set()
        await found.quiet()
        stored = {row["id"] for row in await found.db.fetch("select id from stripe_events")}
        peak = kilobytes(api.pid, "VmHWM")
        alive = [name for name, part in found.parts.items() if not part.alive]
    figures = ", ".join(f"{number} {name}" for name, number in sorted(senders.answers.items()))
    say(
        f"{stall.__name__} for {lasted:.1f} s: {figures}; {during} acknowledged meanwhile; "
        f"{len(senders.taken - stored)} of {len(senders.taken)} acknowledged are not stored; "
        f"the API at {before // 1024} MB before, {peak // 1024} MB at most"
    )
    assert alive == []
    assert senders.taken <= stored
    assert {name for name in senders.answers if name.isdigit()} <= {"200", "503"}
    assert peak - before < GROWTH_KB
