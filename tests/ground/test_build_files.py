"""The Makefile explains itself, and the image is built from files that exist."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def copied() -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return {source.removeprefix("./") for line in lines for source in line.split()[:-1]}


def test_make_alone_lists_every_target_with_its_purpose() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    promised = {"run", "test", "proof", "check", "bench", "sizes"}
    listed = set(re.findall(r"^  make (\w+) +\S+ \S+", shown, re.MULTILINE))
    assert promised <= listed
    assert listed == set(phony[1].split()) - {"env"}


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    admitted = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert copied() == admitted
    assert not [name for name in copied() if not (ROOT / name).exists()]


def test_the_image_contains_what_the_wheel_is_made_from() -> None:
    # hatchling reads these when it builds the project inside the image
    assert {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "src", "alembic"} <= copied()
