"""One callback at the earliest of many times."""

import asyncio
import time
from collections.abc import Callable


class Alarm:
    """Calls back, on the loop that set it, when its time has come.

    Nothing runs while it waits, so a sandbox inside a test leaves no task behind.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at this time of day (seconds since the epoch), in place of any earlier wish."""
        self.clear()
        if due is not None:
            wait = max(0.0, due - time.time())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
