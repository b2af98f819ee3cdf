"""The wheel, installed alone in an empty environment, runs all the processes."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from payments.dev.postgres import EmbeddedPostgres
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or ""


@pytest.fixture(scope="module")
async def database(server: EmbeddedPostgres) -> str:
    await server.ensure_database("wheel")
    return server.url("wheel")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel and the locked dependencies, no more."""
    if not UV:
        pytest.skip("uv is not on PATH; `make test` provides it")
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", folder)
    locked = folder / "locked.txt"
    uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "-o", locked)
    uv("venv", folder / "venv")
    python = folder / "venv/bin/python"
    wheels = folder.glob("*.whl")
    uv("pip", "install", "--compile-bytecode", "--python", python, "-c", locked, *wheels)
    return folder / "venv/bin"


def uv(*arguments: str | Path) -> None:
    ran = subprocess.run(
        [UV, "--quiet", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@contextmanager
def running(command: list[str], env: dict[str, str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def answer(process: subprocess.Popen[str], url: str) -> int:
    """The status of the first answer that the process gives."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.05)
    assert process.stdout is not None
    pytest.fail(process.stdout.read())


def test_it_migrates_serves_works_and_brings_the_offline_stripe(
    installed: Path, database: str, tmp_path: Path
) -> None:
    api, stripe = free_port(), free_port()
    env = {
        "PATH": str(installed),
        "DATABASE_URL": database,
        "STRIPE_SECRET_KEY": "sk_test_wheel",
        "STRIPE_API_BASE": f"http://127.0.0.1:{stripe}",
        "STRIPE_WEBHOOK_SECRET": "whsec_wheel",
        "SECRET_KEY": "k" * 32,
    }
    offline = [str(installed / "stripe-sandbox"), "--port", str(stripe)]
    migrate = [str(installed / "payments"), "migrate"]
    serve = [str(installed / "payments"), "serve", "--host", "127.0.0.1", "--port", str(api)]
    with ExitStack() as processes:
        sandbox = processes.enter_context(running(offline, env, tmp_path))
        assert answer(sandbox, f"http://127.0.0.1:{stripe}/v1/balance") == 401
        migrated = subprocess.run(
            migrate, env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert migrated.returncode == 0, migrated.stderr
        server = processes.enter_context(running(serve, env, tmp_path))
        worker = processes.enter_context(running([*migrate[:1], "worker"], env, tmp_path))
        assert answer(server, f"http://127.0.0.1:{api}/livez") == 200
        assert answer(server, f"http://127.0.0.1:{api}/readyz") == 200
        assert worker.poll() is None
