"""How many deliveries a second: acknowledged, and applied to payments and bookings, against a route
that only reads the same body and against a handler written by hand.

All are asked over the same number of connections, in turns; the hand-written one is a process of
its own, as one would run it. A delivery is acknowledged when it was answered
with 200: its signature was verified and its row committed with fsync. Applied counts until the last
booking is paid and nothing is left in the inbox.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import median

from bench.load import Load, post
from bench.rig import Rig, Told
from bench.server import BARE, HAND_WRITTEN, WEBHOOK

ROUNDS = 3
SECONDS = 4
EVENTS = 8_000 * SECONDS  # more than one process acknowledges, so that none is posted twice


@dataclass(frozen=True)
class Speeds:
    """Deliveries a second, of one round."""

    bare: float
    hand_written: float
    acknowledged: float
    applied: float


async def measure(rig: Rig, told: Told) -> list[Speeds]:
    """A few rounds, each asking everything in turn: what slows the machine slows all of them.

    Args:
        rig: the database to measure on.
        told: hears of each part of a round.
    """
    async with rig.api() as url, rig.hand_written() as other:
        asked = {
            "bare": f"{url}{BARE}",
            "hand_written": f"{other}{HAND_WRITTEN}",
            "acknowledged": f"{url}{WEBHOOK}",
        }
        return [await _round(rig, asked, told) for _ in range(ROUNDS)]


async def _round(rig: Rig, asked: Mapping[str, str], told: Told) -> Speeds:
    found = {}
    for name, url in asked.items():
        load = await _post(rig, url)
        found[name] = load.rate
        told(1)
    waiting = await rig.count("stripe_events", "not_before is not null")
    if waiting < load.requests - load.refused:
        raise SystemExit(f"{load.requests} were acknowledged, {waiting} are stored")
    found["applied"] = await _applied(rig, asked["acknowledged"])
    told(1)
    return Speeds(**found)


async def _post(rig: Rig, url: str) -> Load:
    events = await rig.fresh_events(EVENTS)
    return await post(url, events, seconds=SECONDS)


async def _applied(rig: Rig, url: str) -> float:
    async with rig.worker():
        await rig.drained()
        paid = await rig.count("bookings", "paid_cents > 0")
        load = await _post(rig, url)
        ended = time.monotonic()
        await rig.drained()
        seconds = load.seconds + time.monotonic() - ended
    applied = await rig.count("bookings", "paid_cents > 0") - paid
    if applied < load.requests - load.refused:
        raise SystemExit(f"{load.requests} were acknowledged, {applied} are applied")
    return applied / seconds


def ratio(rounds: list[Speeds], above: str, below: str) -> float:
    """The median over the rounds of how two speeds compare."""
    ratios: list[float] = [getattr(one, above) / getattr(one, below) for one in rounds]
    return median(ratios)


def middle(rounds: list[Speeds]) -> Speeds:
    """The median of each speed by itself."""
    return Speeds(*(median(getattr(one, f.name) for one in rounds) for f in fields(Speeds)))
