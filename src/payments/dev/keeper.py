"""Ends its process group when the process that started it is gone; run as a module."""

import os
import signal
import sys
import time

GRACE = 3.0  # seconds between the request and the kill


def keep() -> None:
    """Waits for the end of stdin, which kill -9 brings too, then ends the group and itself."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    keep()
