"""PostgreSQL without an installation: one server for all commands that share a data directory."""

import asyncio
import fcntl
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import asyncpg

from payments.dev import cluster as clusters
from payments.dev import supervisor
from payments.dev.binaries import PostgresUnavailable

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FAST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
}
PATIENCE = 60.0  # seconds, for another user's start or stop and for crash recovery
TICK = 0.02


class EmbeddedPostgres:
    """A PostgreSQL server that runs while at least one process is inside this context manager.

    The first to enter starts it, others on the same data directory share it, and it stops when the
    last one has left or was killed. Only a Unix socket is opened, and only for this user.

    Args:
        data_dir: Kept between runs. Made when it is missing.
        fast: For data that may be thrown away: nothing is synced to the disk, and the cluster is
            deleted when the last user leaves.
        programs: The folder of another PostgreSQL's programs, instead of those of the wheel.
    """

    def __init__(self, data_dir: Path, *, fast: bool = False, programs: Path | None = None) -> None:
        self._data_dir = data_dir
        self._fast = fast
        self._programs = programs
        self._cluster: clusters.Cluster | None = None
        self._membership: IO[str] | None = None
        self._child: int | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._enter)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._leave)

    def url(self, database: str = "payments") -> str:
        """A `postgresql://` address for asyncpg; SQLAlchemy takes it as `postgresql+asyncpg://`."""
        socket = quote(str(self._place.sockets), safe="/")
        return f"postgresql://postgres@/{database}?host={socket}&port={SETTINGS['port']}"

    async def ensure_database(self, name: str = "payments") -> None:
        # Two commands may start at once; PostgreSQL says either of these to the second.
        with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            await self._execute(f"CREATE DATABASE {_quoted(name)}")

    async def drop_database(self, name: str = "payments") -> None:
        await self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def ended(self) -> None:
        """Returns when the server is gone although we are still here, for instance killed."""
        while self._supervised():  # noqa: ASYNC110 - a kernel lock of others has no event to await
            await asyncio.sleep(0.2)

    def last_words(self) -> str:
        """The end of the server's log."""
        try:
            said = self._place.log.read_text(errors="replace")
        except FileNotFoundError:
            return "(the log is gone)"
        return "\n".join(said.splitlines()[-10:])

    @property
    def _place(self) -> clusters.Cluster:
        if self._cluster is None:
            raise RuntimeError("The server is known only inside `async with EmbeddedPostgres(…)`.")
        return self._cluster

    def _enter(self) -> None:
        self._cluster = clusters.place(self._data_dir, self._programs)
        self._membership = _hold(self._place.lock("users"), fcntl.LOCK_SH)
        try:
            with _hold(self._place.lock("start"), fcntl.LOCK_EX):
                if not self._supervised():
                    clusters.end_unsupervised(self._place)
                    clusters.initialise(self._place, fast=self._fast)
                    self._start()
        except BaseException:
            self._membership.close()
            raise

    def _leave(self) -> None:
        """Waits for the server's end if nobody else uses it: after us, no process is left."""
        assert self._membership is not None
        self._membership.close()
        time.sleep(TICK)  # lets the supervisor, which waits for this, take the lock before we look
        while self._supervised():
            if _free(self._place.lock("users"), fcntl.LOCK_SH):
                return
            time.sleep(TICK)
        self._reap(options=0)
        clusters.end_unsupervised(self._place)

    def _supervised(self) -> bool:
        return not _free(self._place.lock("supervisor"), fcntl.LOCK_SH)

    def _start(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (status := self._launch()) is not None:
            # A server that was killed a moment ago may still have children on its shared memory.
            if "shared memory" not in self.last_words() or time.monotonic() > deadline:
                raise PostgresUnavailable(
                    f"PostgreSQL ended with status {status}, see {self._place.log}:\n"
                    f"{self.last_words()}"
                )
            time.sleep(0.2)

    def _launch(self) -> int | None:
        """Starts the server under a supervisor; returns the exit status if it did not survive."""
        before = self._place.pidfile()
        with self._place.log.open("wb") as log:
            # Not a Popen: the supervisor may well outlive us, and Popen takes that for a mistake.
            self._child = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-m", supervisor.__name__, json.dumps(self._order())],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), target) for target in (1, 2)],
            )
        deadline = time.monotonic() + PATIENCE
        while (text := self._place.pidfile()) == before or "ready" not in text:
            if (status := self._reap()) is not None:
                return status
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"PostgreSQL is not ready, see {self._place.log}")
            time.sleep(TICK)
        return None

    def _reap(self, *, options: int = os.WNOHANG) -> int | None:
        if self._child is None:
            return None
        pid, status = os.waitpid(self._child, options)
        if not pid:
            return None
        self._child = None
        return os.waitstatus_to_exitcode(status)

    def _order(self) -> dict[str, object]:
        place = self._place
        settings = SETTINGS | (FAST_SETTINGS if self._fast else {})
        settings["unix_socket_directories"] = str(place.sockets)
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return {
            "command": [str(place.programs / "postgres"), "-D", str(place.data), *options],
            "cwd": str(place.data),
            "identity": place.identity,
            "users_lock": str(place.lock("users")),
            "own_lock": str(place.lock("supervisor")),
            "discard": str(place.data) if self._fast else "",
        }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _hold(path: Path, operation: int) -> IO[str]:
    """Opens and locks a file; the lock ends with the file, or with this process."""
    deadline = time.monotonic() + PATIENCE
    file = path.open("a")
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise PostgresUnavailable(f"Another process keeps {path} locked.") from None
            time.sleep(TICK)
        else:
            return file


def _free(path: Path, operation: int) -> bool:
    try:
        with path.open() as file:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True
