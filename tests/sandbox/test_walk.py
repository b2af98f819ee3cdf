"""The official clients walk through the mission: stripe-node and the Python SDK, both ways."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import stripe

from sandbox.test_stripe_cli import run_program
from sandbox.walk.steps import Json, Step, as_json
from sandbox.walk.stories import STORIES
from sandbox.walk.walking import Walk, asynchronous, synchronous
from service.variants import listening
from stripe_sandbox.testing import KEY, Bench

SCRIPT = Path(__file__).with_name("walk") / "walk.mjs"


def test_the_walk_is_long_enough() -> None:
    calls = [step.call for steps in STORIES.values() for step in steps if step.call != "settle"]
    assert len(calls) >= 70


@pytest.mark.parametrize("story", STORIES)
async def test_the_python_sdk_walks_asynchronously(bench: Bench, story: str) -> None:
    walk = Walk(asynchronous(bench.stripe), bench.http)
    assert await walk.take(STORIES[story]) == []
