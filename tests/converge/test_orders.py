"""Whatever the order, the doubles, the batches and the turns between, all ends as Stripe has it."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from converge.stories import (
    MOVES,
    OPENING,
    Move,
    begin,
    check,
    check_reservations,
    check_what_is_due,
    finish,
    tell_again,
)
from world import Database, World

numbers = st.integers(0, 999)
openings = st.tuples(st.sampled_from(OPENING), numbers)
turns = st.lists(st.tuples(st.sampled_from(MOVES), numbers), min_size=1, max_size=5)
many_turns = st.lists(st.tuples(st.sampled_from(MOVES), numbers), min_size=6, max_size=24)
# The database is emptied by each example itself, and the time an example takes is the machine's.
calm = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


Turn = tuple[Move, int]


@settings(calm, max_examples=150, derandomize=True, phases=[Phase.generate])
@given(opening=openings, turns=turns, seed=numbers)
async def test_any_order_of_what_happens_and_is_delivered_ends_in_stripes_state(
    world: World, database: Database, opening: Turn, turns: Sequence[Turn], seed: int
) -> None:
    await tell(world, database, [opening, *turns], seed)


@pytest.mark.proof
@settings(calm, max_examples=1000, print_blob=True)
@given(opening=openings, turns=many_turns, seed=numbers)
async def test_other_orders_each_time_end_in_stripes_state_too(
    world: World, database: Database, opening: Turn, turns: Sequence[Turn], seed: int
) -> None:
    await tell(world, database, [opening, *turns], seed)


async def tell(world: World, database: Database, turns: Sequence[Turn], seed: int) -> None:
    """One story as it happens, then all its events once more, in another order."""
    await database.empty()
    story = await begin(world)
    for move, n in turns:
        await move(story, n)
    await finish(story, seed)
    booking = await check(story, known=[s["id"] for s in story.at_stripe("checkout.session")])
    await check_reservations(story)
    await check_what_is_due(story, booking)
    await tell_again(story, seed + 1)
    await check(story)
