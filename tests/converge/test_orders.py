"""Whatever the order, the doubles, the batches and the turns between, all ends as Stripe has it."""

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from converge.stories import MOVES, OPENING, Move, begin, check, finish
from world import Database, World

numbers = st.integers(0, 999)
turns = st.tuples(st.sampled_from(MOVES), numbers)
stories = st.tuples(
    st.tuples(st.sampled_from(OPENING), numbers), st.lists(turns, min_size=8, max_size=30), numbers
)
# The database is emptied by each example itself, and the time an example takes is the machine's.
calm = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(calm, max_examples=300, derandomize=True, phases=[Phase.generate])
@given(story=stories)
async def test_any_order_of_what_happens_and_is_delivered_ends_in_stripes_state(
    world: World, database: Database, story: tuple[tuple[Move, int], Sequence[tuple[Move, int]], int]
) -> None:
    opening, moves, seed = story
    await database.empty()
    told = await begin(world)
    for move, n in (opening, *moves):
        await move(told, n)
    await finish(told, seed)
    await check(told)
