"""The oldest PostgreSQL that is supported: migrations, convergence and messages on it."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.proof

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
SHORT_FORM = ("tests/core/test_database.py", "tests/converge", "tests/messages")


@pytest.mark.skipif(not PROGRAMS.exists(), reason="none here: apt-get install postgresql-15")
async def test_postgresql_15_will_do(
    say: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    """The rest is `PAYMENTS_TEST_POSTGRES=/usr/lib/postgresql/15/bin make test`."""
    # What xdist and coverage tell their workers is not for a run of its own.
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_", "COVERAGE_"))
    }
    env["PAYMENTS_TEST_POSTGRES"] = str(PROGRAMS)
    command = [sys.executable, "-m", "pytest", "-m", "not proof", "-n", "2", *SHORT_FORM]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=pytestconfig.rootpath, stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    say(f"PostgreSQL 15: {said.splitlines()[-1]}")
    assert process.returncode == 0, said
    assert "(PostgreSQL) 15." in said, "the header names the server"
