"""A token bucket over Stripe's rate, halved when Stripe says 429 and won back slowly."""

import asyncio
from time import monotonic


class Throttle:
    """`await turn()` before each fetch; turns come at most `rate` a second."""

    def __init__(self, rate: float) -> None:
        self._full = self._rate = rate
        self._next = 0.0

    async def turn(self) -> None:
        now = monotonic()
        self._next = max(self._next, now) + 1 / self._rate
        self._rate = min(self._full, self._rate * 1.01)
        if (wait := self._next - now - 1) > 0:  # a burst of one second's worth is allowed
            await asyncio.sleep(wait)

    def slow_down(self) -> None:
        self._rate = max(1.0, self._rate / 2)
