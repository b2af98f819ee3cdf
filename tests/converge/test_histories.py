"""However what happened is heard of, in the end the service says what Stripe does."""

from collections.abc import Sequence
from random import Random

import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from converge.hearing import MOVES, Move, Stage
from converge.histories import HISTORIES
from world import Database, World

chosen = st.lists(st.integers(0, len(HISTORIES) - 1), min_size=1, max_size=2, unique=True)
moves = st.lists(st.sampled_from(MOVES), min_size=2, max_size=7)
seeds = st.integers(0, 2**32)
calm = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest_asyncio.fixture
async def stage(world: World, database: Database) -> Stage:
    return await Stage.open(world, database)


@settings(calm, max_examples=500, derandomize=True, phases=[Phase.generate])
@given(chosen=chosen, moves=moves, seed=seeds)
async def test_any_order_in_which_histories_are_heard_ends_as_they_did(
    stage: Stage, chosen: Sequence[int], moves: Sequence[Move], seed: int
) -> None:
    await hear(stage, chosen, moves, seed)


async def hear(stage: Stage, chosen: Sequence[int], moves: Sequence[Move], seed: int) -> None:
    hearing = await stage.begin([stage.histories[n] for n in chosen], Random(seed))
    for move in moves:
        await move(hearing)
        await hearing.go_on()
    await hearing.hear_all()
    await stage.check(chosen)
