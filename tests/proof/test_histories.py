"""Ten thousand other orders in which histories are heard, each time others."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic

import pytest
import pytest_asyncio
from hypothesis import given, seed, settings

from converge.hearing import Move, Stage
from converge.test_histories import calm, chosen, hear, moves, seeds
from world import Database, open_world

pytestmark = pytest.mark.proof

EXAMPLES = 10_000
SEED = random.randrange(10**6)


@pytest_asyncio.fixture
async def stage(database: Database, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    started = monotonic()
    await database.empty()
    async with open_world(database.url, catalogue=False, log_level="error") as world:
        yield await Stage.open(world, database)
    say(f"{EXAMPLES} orders of histories, seed {SEED}: {monotonic() - started:.0f} s")


@seed(SEED)
@settings(calm, max_examples=EXAMPLES, print_blob=True)
@given(chosen=chosen, moves=moves, seed=seeds)
async def test_ten_thousand_orders_in_which_histories_are_heard_end_as_they_did(
    stage: Stage, chosen: Sequence[int], moves: Sequence[Move], seed: int
) -> None:
    await hear(stage, chosen, moves, seed)
