"""Where an embedded PostgreSQL cluster lives on the disk, which user runs it, and its process."""

import contextlib
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payments.dev import binaries
from payments.dev.binaries import PostgresUnavailable

BUILTIN_LOCALES = 17  # since that version PostgreSQL brings a UTF-8 locale of its own
NOBODY = 65534  # PostgreSQL refuses to run as root; this user exists everywhere and owns nothing
SOCKET_PATH_MAX = 100  # the kernel's limit is 104 (macOS) or 108 (Linux) bytes
SOCKET_NAME = "/.s.PGSQL.5432"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """The folders of a cluster. `home` holds its locks and its log, `data` is PGDATA."""

    home: Path
    programs: Path
    sockets: Path
    identity: dict[str, Any]

    @property
    def data(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def lock(self, name: str) -> Path:
        return self.home / f"{name}.lock"

    def pidfile(self) -> str:
        """The text of postmaster.pid, or nothing; the last line is `ready` when it serves."""
        try:
            return (self.data / "postmaster.pid").read_text()
        except FileNotFoundError:
            return ""


def place(data_dir: Path, programs: Path | None = None) -> Cluster:
    """Chooses the folders for a cluster that belongs to `data_dir`, and makes them.

    As root the server runs as nobody, who cannot pass a 0700 folder such as /root: the cluster
    then lives in a shared place and `data_dir/postgres` is a link to it.
    """
    root = os.geteuid() == 0
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir = data_dir.resolve()
    home = data_dir / "postgres"
    if root and not home.is_dir() and not binaries.open_to_all(data_dir):
        _link_outside(home)
    home.mkdir(exist_ok=True)
    home = home.resolve()
    return Cluster(
        home=home,
        programs=programs or binaries.locate(reachable=root),
        sockets=_sockets(home),
        identity={"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {},
    )


def initialise(cluster: Cluster, *, fast: bool) -> None:
    """Creates the cluster, unless it exists: whole or not at all."""
    if cluster.data.exists():
        return
    unfinished = cluster.home / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if cluster.identity:
        os.chown(unfinished, NOBODY, NOBODY)
    program = str(cluster.programs / "initdb")
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
    options += _locale(cluster)
    options += ["--no-sync"] if fast else []
    made = subprocess.run(  # noqa: S603 - a program of the wheel with constant options
        [program, *options, "--pgdata", str(unfinished)],
        capture_output=True,
        check=False,
        cwd=unfinished,
        **cluster.identity,
    )
    if made.returncode:
        raise PostgresUnavailable(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")
    unfinished.rename(cluster.data)


def _locale(cluster: Cluster) -> list[str]:
    told = subprocess.check_output([cluster.programs / "postgres", "--version"], text=True)  # noqa: S603 - PostgreSQL's own
    if int(told.split()[2].partition(".")[0]) < BUILTIN_LOCALES:
        return ["--locale=C.UTF-8"]
    return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]


def postmaster(cluster: Cluster) -> int | None:
    """The process that serves this cluster, if one does: a pid file alone may be a leftover."""
    with contextlib.suppress(IndexError, ValueError, OSError):
        pid = int(cluster.pidfile().splitlines()[0])
        return pid if str(cluster.data) in _command_line(pid) else None
    return None


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        return Path(f"/proc/{pid}/cmdline").read_text()
    shown = subprocess.run(  # noqa: S603 - constant but for a number
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout


def end_unsupervised(cluster: Cluster, *, patience: float = 30.0) -> None:
    """Stops a server whose supervisor was killed, and clears what a killed server left behind."""
    deadline = time.monotonic() + patience
    while pid := postmaster(cluster):
        if time.monotonic() > deadline:
            raise PostgresUnavailable(f"PostgreSQL (process {pid}) does not stop: end it first.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(0.05)
    _forget_recycled_pid(cluster)


def _forget_recycled_pid(cluster: Cluster) -> None:
    """Removes a pid file that names a living process which is not ours.

    In containers the same small numbers come back, and PostgreSQL would refuse to start. A pid
    file of a dead process stays: PostgreSQL looks in it for shared memory still in use.
    """
    with contextlib.suppress(IndexError, ValueError, ProcessLookupError):
        with contextlib.suppress(PermissionError):
            os.kill(int(cluster.pidfile().splitlines()[0]), 0)
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _link_outside(home: Path) -> None:
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    shared = binaries.own(binaries.SHARED / f"payments-{os.geteuid()}")
    outside = binaries.own(shared / digest)
    if not binaries.open_to_all(outside):
        raise PostgresUnavailable(
            f"PostgreSQL cannot run as root, and {outside} is closed to other users: "
            "run as a plain user, or set DATABASE_URL."
        )
    if not home.is_symlink():
        # Whoever deleted the data directory asked for an empty database.
        shutil.rmtree(outside / "cluster", ignore_errors=True)
        home.symlink_to(outside)
    log.warning("%s is closed to other users: PostgreSQL keeps its data in %s", home, outside)


def _sockets(home: Path) -> Path:
    if len(str(home / "sockets") + SOCKET_NAME) <= SOCKET_PATH_MAX:
        folder = home / "sockets"
    else:
        digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        shared = binaries.own(binaries.SHARED / f"payments-{os.geteuid()}")
        folder = shared / digest
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o700)
    return folder
