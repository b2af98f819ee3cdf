from collections.abc import AsyncIterator

import pytest_asyncio

from onboarding.commands import environment
from world import World


@pytest_asyncio.fixture
async def env(world: World) -> AsyncIterator[dict[str, str]]:
    async with environment(world) as variables:
        yield variables
