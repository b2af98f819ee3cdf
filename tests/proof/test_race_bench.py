"""220 random runs of the batched pipeline, whose workers are cut short: none ends wrong."""

import random
from collections import Counter
from collections.abc import Callable
from random import Random
from time import monotonic

import httpx2
import pytest

from converge.networks import Network, reached_by
from proof.bench import BOOKINGS, WORKERS, Run
from world import Database, open_world

pytestmark = pytest.mark.proof

RUNS = 220
LATENCY = 0.006


async def test_no_race_between_workers_that_are_cut_short_leaves_a_wrong_row(
    database: Database, say: Callable[[str], None]
) -> None:
    first, started = random.randrange(10**6), monotonic()
    count: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    for seed in range(first, first + RUNS):
        if found := await one_run(database, Random(seed), count):
            wrong[seed] = found
    figures = ", ".join(f"{number} {name}" for name, number in sorted(count.items()))
    say(
        f"{RUNS} runs of {BOOKINGS} bookings with {WORKERS} workers, seeds from {first}: "
        f"{len(wrong)} wrong; {figures}; {monotonic() - started:.0f} s"
    )
    assert wrong == {}


async def one_run(database: Database, choice: Random, count: Counter[str]) -> list[str]:
    def network(app: httpx2.ASGITransport) -> Network:
        return Network(app, latency=lambda: choice.random() * LATENCY)

    await database.empty()
    async with (
        open_world(database.url, catalogue=False, log_level="error") as world,
        reached_by(world, network) as slow,
    ):
        return await Run(slow, choice, count).go()
