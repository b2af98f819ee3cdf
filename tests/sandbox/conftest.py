"""One offline Stripe a test, in process, behind the official SDK."""

from collections.abc import AsyncIterator

import pytest_asyncio

from stripe_sandbox.testing import Bench


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.open() as opened:
        yield opened
