"""One PostgreSQL a run, one database a worker, one world a test, down to a real PostgreSQL."""

import asyncio
import fcntl
import gc
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import greenlet
import pytest
import pytest_asyncio
import stamina
import stripe

from leaks import WATCH, watching
from payments.core import migrations
from payments.dev.postgres import EmbeddedPostgres
from world import APPLICATIONS, Database, Shelf, World, open_world

TEMPLATE = "payments_template"
SERVER = "PAYMENTS_TEST_POSTGRES"
"""Variable that names the programs of another PostgreSQL: /usr/lib/postgresql/15/bin."""
TRACING = pytest.StashKey["Tracing | None"]()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Retries do not wait, by the libraries' own switches: what is tested is what they lead to."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.001)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.001)
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(autouse=True)
def log_level_is_left_as_it_was() -> Iterator[None]:
    """A command that runs in this process sets its own."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def logs_are_watched() -> Iterator[None]:
    with watching():
        yield


@pytest.fixture(autouse=True)
def no_secret_is_logged(logs_are_watched: None) -> Iterator[None]:
    yield
    assert not (leaked := WATCH.take()), f"a secret stands in the log: {leaked}"


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> dict[str, str]:
    """The environment that makes a process of its own add to the coverage. For those few whose code
    runs nowhere else: a traced start takes twice as long.
    """
    if not pytestconfig.pluginmanager.hasplugin("_cov"):
        return {}
    root = pytestconfig.rootpath
    return {
        "COVERAGE_PROCESS_START": str(root / "tests/processes.coveragerc"),
        "COVERAGE_FILE": str(root / ".coverage"),
    }


@pytest.fixture(scope="session")
def run_dir(testrun_uid: str) -> Iterator[Path]:
    """A folder that every worker of this run shares; short, because sockets live below it."""
    path = Path(tempfile.gettempdir()) / f"pt-{testrun_uid[:8]}"
    path.mkdir(mode=0o755, exist_ok=True)
    with (path / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield path
        with suppress(BlockingIOError):  # another worker is still at work
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


@pytest_asyncio.fixture(scope="session")
async def server(run_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    programs = Path(os.environ[SERVER]) if SERVER in os.environ else None
    async with EmbeddedPostgres(run_dir, fast=True, programs=programs) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def database(
    server: EmbeddedPostgres, run_dir: Path, worker_id: str
) -> AsyncIterator[Database]:
    """This worker's own copy of a migrated database."""
    name = f"payments_{worker_id}"
    with (run_dir / "template.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not (run_dir / "template.done").exists():
            await server.ensure_database(TEMPLATE)
            await migrations.upgrade(server.url(TEMPLATE))
            (run_dir / "template.done").touch()
        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute(f"drop database if exists {name}")
        await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        await admin.close()
    opened = await Database.open(server.url(name))
    yield opened
    await APPLICATIONS.close()
    await opened.close()


@pytest.fixture(scope="session")
def shelf(database: Database) -> Shelf:
    return Shelf(database)


@pytest_asyncio.fixture
async def world(database: Database, shelf: Shelf) -> AsyncIterator[World]:
    """The whole service over an empty database and an empty Stripe, with the catalogue applied."""
    await database.empty()
    async with open_world(database.url, shelf=shelf) as opened:
        yield opened


def pytest_report_header() -> str:
    if SERVER not in os.environ:
        return "the embedded PostgreSQL"
    program = Path(os.environ[SERVER]) / "postgres"
    return subprocess.check_output([program, "--version"], text=True).strip()


LONGEST_FIRST = (
    "service.test_fuzz",
    "converge.test_histories",
    "converge.test_orders",
    "converge.test_credit_orders",
    "dev.test_stack",
    "core.test_cli",
    "browser.",
    "converge.test_timeouts",
    "dev.test_postgres",
    "ground.test_wheel",
    "onboarding.test_doctor",
    "core.test_database",
)
"""Modules that would be waited for at the end if a worker took them last."""

UNMEASURED = (
    "sandbox.",
    "service.test_fuzz",
    "browser.",
    "ground.",
    "items.",
    "converge.test_histories",
    "converge.test_orders",
    "converge.test_credit_orders",
    "converge.test_double_payment",
    "converge.test_timeouts",
    "converge.test_races",
    "converge.test_faults",
    "converge.test_version_rule",
)
"""What they run of `payments` others run too; the tracer would take longer than the tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


class Tracing:
    """Keeps coverage's tracer, which doubles the time of what it sees, away from where nothing of
    `payments` runs for the first time: some modules, and the greenlets in which SQLAlchemy works.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._wanted = True
        greenlet.settrace(self._switched)

    def rest(self) -> None:
        self._wanted = False
        self._tracer.stop()

    def resume(self) -> None:
        self._wanted = True
        self._tracer.start()

    def _switched(self, _: str, between: tuple[Any, Any]) -> None:
        in_greenlet = between[1].parent is not None
        if in_greenlet:
            self._tracer.stop()
        elif self._wanted:
            self._tracer.start()


def pytest_collection_finish(session: pytest.Session) -> None:
    # What is there by now stays; looking through it for garbage takes a tenth of the run.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    tracer = sys.gettrace()
    session.config.stash[TRACING] = Tracing(tracer) if hasattr(tracer, "stop") else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """The mark `no_cover` pauses one of the two collectors that pytest-cov starts in a worker; the
    other goes on tracing.
    """
    tracing = item.config.stash[TRACING]
    if tracing is None or not _module(item).startswith(UNMEASURED):
        return (yield)
    tracing.rest()
    try:
        return (yield)
    finally:
        tracing.resume()


def _module(item: pytest.Item) -> str:
    """`converge.test_orders`, whatever folder the run was started in."""
    return ".".join(item.path.relative_to(Path(__file__).parent).with_suffix("").parts)


def _place(item: pytest.Item) -> int:
    found = [n for n, name in enumerate(LONGEST_FIRST) if _module(item).startswith(name)]
    return found[0] if found else len(LONGEST_FIRST)
