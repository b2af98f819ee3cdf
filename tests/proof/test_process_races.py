"""Two hundred runs of six worker processes that are killed in their batches: none ends wrong."""

import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from proof import nursery
from proof.rough import BOOKINGS, Rough, Stripe, happen
from proof.running import running

pytestmark = pytest.mark.proof

RUNS, AT_ONCE, WORKERS = 200, 4, 6


async def test_no_race_between_processes_that_are_killed_leaves_a_wrong_row(
    say: Callable[[str], None], tmp_path: Path
) -> None:
    seed, started = random.randrange(10**6), monotonic()
    tally, stripe = tmp_path / "tally", Stripe()
    count: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    workers = [sys.executable, str(nursery.__file__), str(WORKERS), str(seed), str(tally)]
    async with running(worker=workers) as found:
        for first in range(seed, seed + RUNS, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            runs = [Rough(found, Random(number), f"run-{number}") for number in numbers]
            if errors := await happen(found, stripe, runs, count):
                wrong[first] = errors
        log = found.parts["worker"].log.read_text()
    fates = Counter(tally.read_text())
    figures = ", ".join(f"{number} {kind}s" for kind, number in sorted(count.items()))
    say(
        f"{RUNS} runs of {BOOKINGS} bookings with {WORKERS} worker processes and chaos, seeds from "
        f"{seed}: {len(wrong)} wrong; {fates['k']} killed in a batch, {fates['c']} commits not "
        f"acknowledged; {figures}; {monotonic() - started:.0f} s"
    )
    assert wrong == {}
    assert fates["e"] == 0, f"a worker ended by itself: {log[-3000:]}"
