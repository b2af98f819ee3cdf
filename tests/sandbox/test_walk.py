"""The official clients walk through the mission: stripe-node and the Python SDK, both ways."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import stripe
from starlette.types import Receive, Scope, Send

from sandbox.test_stripe_cli import run_program
from sandbox.walk.steps import Json, Step, as_json
from sandbox.walk.stories import STORIES
from sandbox.walk.walking import Walk, asynchronous, synchronous
from service.variants import listening
from stripe_sandbox.app import App
from stripe_sandbox.config import Config
from stripe_sandbox.testing import KEY, Bench

SCRIPT = Path(__file__).with_name("walk") / "walk.mjs"


@pytest_asyncio.fixture
async def alone() -> AsyncIterator[Bench]:
    """A sandbox that nobody listens to."""
    async with Bench.open(Config(base_url="http://sandbox.test", settle_after=3600)) as opened:
        yield opened


@dataclass
class Address:
    """One server for all: a server takes longer to stop than a story to walk."""

    url: str = ""
    app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient(KEY, base_addresses={"api": self.url, "files": self.url})


@pytest_asyncio.fixture(scope="module")
async def address() -> AsyncIterator[Address]:
    found = Address()
    async with listening(found) as found.url:
        yield found


def test_the_walk_is_long_enough() -> None:
    calls = [step.call for steps in STORIES.values() for step in steps if step.call != "settle"]
    assert len(calls) >= 70


@pytest.mark.parametrize("story", STORIES)
async def test_the_python_sdk_walks_asynchronously(alone: Bench, story: str) -> None:
    problems = await Walk(asynchronous(alone.stripe), alone.http).take(STORIES[story])
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("story", STORIES)
async def test_the_python_sdk_walks_synchronously(
    alone: Bench, address: Address, story: str
) -> None:
    address.app = alone.app
    perform = synchronous(address.client())

    async def perform_beside(step: Step, words: list[str], params: Json) -> Json:
        return await asyncio.to_thread(perform, step, words, params)

    problems = await Walk(perform_beside, alone.http).take(STORIES[story])
    assert not problems, "\n".join(problems)


@pytest.mark.proof
async def test_stripe_node_walks(tmp_path: Path, address: Address) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node or npm is not installed: apt install nodejs npm")
    await run_program(tmp_path, npm, "install", "--no-audit", "--no-fund", "stripe")
    script = str(shutil.copy(SCRIPT, tmp_path))
    problems = {}
    for name, steps in as_json(STORIES).items():
        config = Config(base_url="http://sandbox.test", settle_after=3600)
        async with Bench.open(config) as bench:
            address.app = bench.app
            given = json.dumps({"url": address.url, "key": KEY, "steps": steps})
            said = json.loads(await run_program(tmp_path, node, script, given))
        assert said["api"] == stripe.api_version
        if said["problems"]:
            problems[name] = said["problems"]
    assert problems == {}, json.dumps(problems, indent=1)
