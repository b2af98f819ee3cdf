"""Runs a real `payments dev` on free ports."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leaks import WATCH
from payments.settings import Settings
from ports import free_port

NOTHING: Mapping[str, str] = {}
READY = "Ctrl-C stops everything"


@dataclass
class RunningStack:
    process: Process
    url: str
    data_dir: Path
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def read(self, until: str | None = None) -> None:
        """Collects what the stack says, up to a line with this text or to its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())
            if until is not None and until in self.lines[-1]:
                return
        assert until is None, f"it ended without {until!r}:\n{self.output}"

    async def stop(self, number: int) -> int:
        """Sends a signal; returns the exit status."""
        self.process.send_signal(number)
        await self.read()
        return await self.process.wait()


@asynccontextmanager
async def started(
    data_dir: Path, *options: str, port: int | None = None, env: Mapping[str, str] = NOTHING
) -> AsyncIterator[RunningStack]:
    """A stack that has been started, not yet ready; it is killed if it still runs at the end."""
    port = port or free_port()
    command = [sys.executable, "-c", "from payments.cli import main; main()", "dev"]
    command += ["--port", str(port), "--sandbox-port", str(free_port())]
    command += ["--data-dir", str(data_dir), *options]
    ours = {name.upper() for name in Settings.model_fields}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=data_dir.parent,
        env={name: value for name, value in os.environ.items() if name not in ours} | dict(env),
    )
    try:
        yield RunningStack(process, f"http://127.0.0.1:{port}", data_dir)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for log in (data_dir / "logs").glob("*.log"):
            WATCH.look(log.name, log.read_text())


@asynccontextmanager
async def ready(
    data_dir: Path, *options: str, env: Mapping[str, str] = NOTHING
) -> AsyncIterator[RunningStack]:
    async with started(data_dir, *options, env=env) as stack:
        await stack.read(until=READY)
        yield stack
