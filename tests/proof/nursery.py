"""Workers in processes of their own, forked from one that has imported everything already, so that
they can be killed often. Of the batches that such a worker applies, one in ten kills its process
half-way, and one in ten is told that its commit has failed although it has not.

Run as `python nursery.py WORKERS SEED TALLY`; in the file TALLY each kill leaves a `k`, each lie
about a commit a `c`, each worker that ended by itself an `e`.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from sqlalchemy.ext.asyncio import AsyncConnection

from payments import worker
from payments.context import open_context
from payments.core import telemetry
from payments.core.db import Database
from payments.domains import assemble
from payments.settings import Settings, load
from payments.sync import process, queue

KILLED, COMMITTED = 0.05, 0.1
"""The first is for each of two places in a batch: before what follows from it, and after."""
LEASE_SECONDS = 1
BATCH = 4
NAP = 0.02
PR_SET_PDEATHSIG = 1

_applying: ContextVar[bool] = ContextVar("applying", default=False)


@dataclass
class Fate:
    """What befalls the batches of one worker."""

    random: Random
    tally: int

    async def strike(self, _: AsyncConnection, __: frozenset[str], ___: datetime) -> None:
        """A step of every batch, under its locks."""
        _applying.set(True)
        await asyncio.sleep(self.random.random() * NAP)
        if self.random.random() < KILLED:
            os.write(self.tally, b"k")
            os.kill(os.getpid(), signal.SIGKILL)

    def lie(self) -> None:
        """The connection is lost between a commit and its acknowledgement."""
        if _applying.get() and self.random.random() < COMMITTED:
            os.write(self.tally, b"c")
            raise ConnectionResetError("the commit was not acknowledged")


class Unreliable(Database):
    def __init__(self, url: str, fate: Fate) -> None:
        super().__init__(url, pool_size=4)
        self._fate = fate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        _applying.set(False)
        async with super().transaction() as tx:
            yield tx
        self._fate.lie()


async def work(settings: Settings, fate: Fate) -> None:
    assert settings.database_url is not None
    database = Unreliable(settings.database_url.get_secret_value(), fate)
    known = assemble(settings.payables).registry
    registry = replace(known, settles=[fate.strike, *known.settles, fate.strike])
    async with open_context(settings, registry, database=database) as ctx:
        await worker.run(ctx, asyncio.Event())


def born(seed: int, tally: int) -> int:
    """Fork one worker, which dies with this process; return its id."""
    if child := os.fork():
        return child
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        asyncio.run(work(load(), Fate(Random(seed), tally)))
    finally:
        os._exit(1)


def main(workers: int, seed: int, path: str) -> None:
    settings = load()
    telemetry.configure(level=settings.log_level, fmt=settings.log_format)
    queue.LEASE_SECONDS = LEASE_SECONDS  # type: ignore[misc]  # a run does not wait for a minute
    process.PAYLOAD_BATCH = BATCH  # type: ignore[misc]  # so that one object's events are shared out
    tally = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for _ in range(workers):
        seed += 1
        born(seed, tally)
    while True:
        _, status = os.wait()
        if os.WTERMSIG(status) != signal.SIGKILL:
            os.write(tally, b"e")
        seed += 1
        born(seed, tally)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
