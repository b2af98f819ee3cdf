"""Five thousand other orders of what happens to credits, each time others."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic

import pytest
import pytest_asyncio
from hypothesis import given, seed, settings

from converge.crediting import Act, acts
from converge.test_credit_orders import live_through
from converge.test_histories import calm
from world import Database, World, open_world

pytestmark = pytest.mark.proof

EXAMPLES = 5_000
SEED = random.randrange(10**6)


@pytest_asyncio.fixture
async def world(database: Database, say: Callable[[str], None]) -> AsyncIterator[World]:
    started = monotonic()
    await database.empty()
    async with open_world(database.url, catalogue=False, log_level="error") as opened:
        yield opened
    say(f"{EXAMPLES} orders of acts on credits, seed {SEED}: {monotonic() - started:.0f} s")


@seed(SEED)
@settings(calm, max_examples=EXAMPLES, print_blob=True)
@given(happened=acts)
async def test_five_thousand_orders_of_acts_leave_sums_that_agree(
    world: World, happened: Sequence[Act]
) -> None:
    await live_through(world, happened)
