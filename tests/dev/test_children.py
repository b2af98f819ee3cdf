"""The children of the development stack end together, however it ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from dev import processes
from payments.dev.children import ChildEnded, Children

STAYING = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
OWNER = """
import asyncio, os, sys
from pathlib import Path
from payments.dev.children import Children

async def main():
    async with Children(Path(sys.argv[1])) as children:
        for name in ("first", "second"):
            await children.start(name, [sys.executable, "-c", sys.argv[2]], dict(os.environ))
        print("started", flush=True)
        await children.watch()

asyncio.run(main())
"""


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def environment(mark: Path) -> dict[str, str]:
    return {**os.environ, "MARK": str(mark)}


async def test_leaving_ends_all_children_and_the_keeper(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        await children.start("one", python(STAYING), environment(tmp_path))
        await children.start("two", python(STAYING), environment(tmp_path))
        assert len(processes.mentioning(str(tmp_path))) == 2
    assert processes.mentioning(str(tmp_path)) == []


async def test_a_child_that_ignores_the_request_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.dev.children.PATIENCE", 0.3)
    async with Children(tmp_path) as children:
        await children.start("deaf", python(DEAF), environment(tmp_path))
        await asyncio.sleep(0.2)
    assert processes.mentioning(str(tmp_path)) == []


async def test_a_child_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    script = "print('all is well'); print('no, it is not'); raise SystemExit(3)"
    async with Children(tmp_path) as children:
        await children.start("steady", python(STAYING), environment(tmp_path))
        await children.start("worker", python(script), environment(tmp_path))
        with pytest.raises(ChildEnded) as ended:
            await children.watch()
    lines = str(ended.value).splitlines()
    assert lines[0].startswith("worker ended with status 3")
    assert str(tmp_path / "worker.log") in lines[0]
    assert lines[1:] == ["  all is well", "  no, it is not"]


async def test_a_command_that_fails_is_reported_and_one_that_works_is_not(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        await children.run("good", python("print('done')"), environment(tmp_path))
        assert children.log("good").read_text() == "done\n"
        with pytest.raises(ChildEnded, match="bad ended with status 1"):
            await children.run("bad", python("raise SystemExit('no')"), environment(tmp_path))


async def test_a_killed_owner_leaves_no_child(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        *python(OWNER),
        str(tmp_path),
        DEAF,
        stdout=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"started\n"
    family = processes.mentioning(str(tmp_path))
    assert len(family) == 4, "the owner, the keeper and two children"

    owner.send_signal(signal.SIGKILL)
    await owner.wait()

    processes.wait_until_gone(*family)


async def test_a_killed_keeper_is_reported(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        await children.start("steady", python(STAYING), environment(tmp_path))
        children._signal(signal.SIGKILL)
        with pytest.raises(ChildEnded):
            await children.watch()
