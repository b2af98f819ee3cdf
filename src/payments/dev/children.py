"""The child processes of the development stack: they live and end together, however it ends."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from payments.dev import keeper

PATIENCE = 4.0  # seconds for a clean end
LAST_LINES = 15


class ChildEnded(Exception):
    """A child is gone; the message shows the end of its log."""


class Children:
    """Starts processes in one process group with a log file each, and ends all on leaving.

    A keeper in the group sees when this process is gone without a word (kill -9) and ends the
    others. Those that were started, not run, are expected to stay: `watch` raises when one ends.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._kept: dict[str, Process] = {}
        self._keeper: Process | None = None
        self._watches: list[asyncio.Task[None]] = []
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._keeper = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", keeper.__name__, stdin=PIPE, process_group=0
        )
        self._expect_to_stay("keeper", self._keeper)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._keeper is not None
        for watch in self._watches:
            watch.cancel()
        self._failure.cancel()
        self._signal(signal.SIGTERM)
        everyone = asyncio.gather(*(child.wait() for child in self._kept.values()))
        with suppress(TimeoutError):
            await asyncio.wait_for(everyone, PATIENCE)
        self._signal(signal.SIGKILL)
        await self._keeper.wait()
        await asyncio.gather(*(child.wait() for child in self._kept.values()))

    async def start(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        """Starts a process that is expected to stay."""
        self._kept[name] = await self._spawn(name, command, env)
        self._expect_to_stay(name, self._kept[name])

    async def run(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        """Runs a process to its end.

        Raises:
            ChildEnded: its exit status is not 0.
        """
        child = self._kept[name] = await self._spawn(name, command, env)
        status = await child.wait()
        del self._kept[name]
        if status:
            raise self._ended(name, child)

    async def watch(self) -> None:
        """Returns never.

        Raises:
            ChildEnded: a process that was expected to stay has ended.
        """
        await self._failure

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    async def _spawn(self, name: str, command: list[str], env: Mapping[str, str]) -> Process:
        assert self._keeper is not None
        with self.log(name).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=self._keeper.pid,
            )

    def _expect_to_stay(self, name: str, child: Process) -> None:
        async def wait() -> None:
            await child.wait()
            if not self._failure.done():
                self._failure.set_exception(self._ended(name, child))

        self._watches.append(asyncio.create_task(wait()))

    def _signal(self, number: signal.Signals) -> None:
        assert self._keeper is not None
        with suppress(ProcessLookupError):
            os.killpg(self._keeper.pid, number)

    def _ended(self, name: str, child: Process) -> ChildEnded:
        ending = f"{name} ended with status {child.returncode}"
        with suppress(FileNotFoundError):
            lines = self.log(name).read_text(errors="replace").splitlines()[-LAST_LINES:]
            ending += f"; the end of {self.log(name)}:\n" + "\n".join(f"  {line}" for line in lines)
        return ChildEnded(ending)
