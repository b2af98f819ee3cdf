"""What the API and the worker hold in memory after 20,000 events, and after 200,000."""

from dataclasses import dataclass

from bench.load import post
from bench.rig import Rig, Told
from bench.server import WEBHOOK

FEW, MANY = 20_000, 200_000
SECONDS = 4
EVENTS = 8_000 * SECONDS


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of one process."""

    few: float
    many: float


async def measure(rig: Rig, told: Told) -> dict[str, Memory]:
    """By process; `told` hears how many events were applied each time."""
    async with rig.api() as url, rig.worker():
        names = ("api", "worker")
        done = await _apply(rig, f"{url}{WEBHOOK}", FEW, told)
        few = [rig.resident_mb(name) for name in names]
        await _apply(rig, f"{url}{WEBHOOK}", MANY - done, told)
        many = [rig.resident_mb(name) for name in names]
    return {name: Memory(*pair) for name, *pair in zip(names, few, many, strict=True)}


async def _apply(rig: Rig, url: str, count: int, told: Told) -> int:
    done = 0
    while done < count:
        load = await post(url, await rig.fresh_events(EVENTS), seconds=SECONDS)
        await rig.drained()
        done += load.requests - load.refused
        told(load.requests - load.refused)
    return done
