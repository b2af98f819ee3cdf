"""No module and no function outgrows what a reader can hold."""

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/sizes.py"


def test_every_module_and_function_is_short_enough() -> None:
    ran = subprocess.run(
        [sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_is_too_long_is_named(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "tests").mkdir()
    body = "".join(f"    x{number} = {number}\n" for number in range(40))
    (tmp_path / "src/long.py").write_text(f"def forty_one():\n{body}" + "\n" * 260)
    (tmp_path / "tests/long.py").write_text("\n" * 501)
    (tmp_path / "src/short.py").write_text("@decorator\n@decorator\ndef short():\n    pass\n")

    pieces = runpy.run_path(str(TOOL))["oversized"](tmp_path)

    assert [(piece.name, piece.lines) for piece in pieces] == [
        ("src/long.py", 301),
        ("tests/long.py", 501),
        ("src/long.py:1 forty_one", 41),
    ]
