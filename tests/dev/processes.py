"""The processes of this machine, as /proc shows them."""

import time
from pathlib import Path


def parent(pid: int) -> int:
    return int(_status(pid)[1])


def running(pid: int) -> bool:
    """Not so for a zombie, which waits only for its parent to look."""
    try:
        return _status(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 15
    while left := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < deadline, f"these stay: {left}"
        time.sleep(0.02)


def mentioning(*texts: str) -> list[int]:
    """Those whose command line and environment together hold all these texts."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if all(text.encode() in said for text in texts) and running(int(folder.name)):
            found.append(int(folder.name))
    return found


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
