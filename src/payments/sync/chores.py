"""A chore: what is done again and again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """Something to do regularly. It may be cut short at any line and is then begun again, so it
    continues where it was, or repeats itself harmlessly.

    Attributes:
        name: its row.
        run: does it, given the process's `Context`.
        every: how long after its end it is due again; without `at` a new database begins with it.
        at: instead, the time of day in TIME_ZONE.
    """

    name: str
    run: Callable[[Any], Awaitable[None]]
    every: timedelta = timedelta(days=1)
    at: time | None = None

    def due_after(self, now: datetime, zone: tzinfo) -> datetime:
        """The next time after `now`."""
        if self.at is None:
            return now + self.every
        today = datetime.combine(now.astimezone(zone).date(), self.at, zone)
        return today if today > now else today + timedelta(days=1)
