"""A world without a catalogue, whose retries do not wait: what is tested is what they lead to."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import stamina
import stripe

from world import Database, World, open_world

pytest.register_assert_rewrite("converge.oracle", "converge.stories")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.001)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.001)
    with stamina.set_testing(True, attempts=3):
        yield


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    await database.empty()
    async with open_world(database.url, catalogue=False, log_level="error") as opened:
        yield opened
