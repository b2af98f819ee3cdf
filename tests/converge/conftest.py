"""A world without a catalogue: these bookings have a price of their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from world import Database, World, open_world

pytest.register_assert_rewrite("converge.hearing", "converge.oracle", "converge.stories")


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    await database.empty()
    async with open_world(database.url, catalogue=False, log_level="error") as opened:
        yield opened
