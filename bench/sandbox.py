"""How quick the offline Stripe is in process, how soon it is there, and what 100,000 objects do to
it: to the time of a call and to memory.
"""

import asyncio
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.rig import Told
from stripe_sandbox.config import Config
from stripe_sandbox.testing import Bench

FEW, MANY = 1_000, 100_000
CALLS = 300
STARTS = 3
BATCH = 500

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Offline:
    """What was found.

    Attributes:
        call: milliseconds of a simple call through the SDK, answers checked.
        start: seconds from the command to its first answer.
        slower: by what is asked, how much longer it takes with MANY objects than with FEW.
        kilobytes: of memory that one object takes.
    """

    call: float
    start: float
    slower: dict[str, float]
    kilobytes: float


async def measure(told: Told) -> Offline:
    """In one process; `told` hears how many objects were made."""
    start = median([await _start() for _ in range(STARTS)])
    async with Bench.open(Config(base_url="http://sandbox.test", settle_after=3600)) as bench:
        _fill(bench, FEW, told)
        before = await _times(bench)
        empty = _resident()
        _fill(bench, MANY - FEW, told)
        kilobytes = (_resident() - empty) / (MANY - FEW)
        after = await _times(bench)
        bench.app.sandbox.state.table("event").rows.clear()  # or the bench checks each of them
    slower = {name: after[name] / before[name] for name in before}
    return Offline(before["retrieve"], start, slower, kilobytes)


async def _start() -> float:
    began = time.monotonic()
    command = str(Path(sys.executable).with_name("stripe-sandbox"))
    process = await asyncio.create_subprocess_exec(
        command, "--port", "0", stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    await process.stdout.readline()
    seconds = time.monotonic() - began
    process.terminate()
    await process.wait()
    return seconds


def _fill(bench: Bench, objects: int, told: Told) -> None:
    """Customers, each with the event of its making."""
    for _ in range(objects // (2 * BATCH)):
        with bench.app.sandbox.work() as work:
            for _ in range(BATCH):
                number = len(work.state.rows("customer"))
                mail = f"{number}@example.com"
                customer = work.create("customer", id=f"cus_{number}", email=mail)
                work.emit("customer.created", customer)
        told(2 * BATCH)


async def _times(bench: Bench) -> dict[str, float]:
    v1 = bench.stripe.v1
    asked: dict[str, Ask] = {
        "retrieve": lambda: v1.customers.retrieve_async("cus_77"),
        "list": lambda: v1.customers.list_async({"limit": 3, "starting_after": "cus_77"}),
        "filter": lambda: v1.customers.list_async({"email": "77@example.com"}),
        "events by type": lambda: v1.events.list_async({"type": "customer.created", "limit": 3}),
        "create": lambda: v1.customers.create_async({"email": "jenny@example.com"}),
    }
    return {name: await _milliseconds(ask) for name, ask in asked.items()}


async def _milliseconds(ask: Ask) -> float:
    """The median; the first call may build an index."""
    await ask()
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def _resident() -> float:
    """Kilobytes of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS")))
