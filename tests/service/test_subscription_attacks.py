"""Subscriptions under attack: lost answers, slow creations, two tabs, links that move, odd dates."""

import asyncio
from datetime import timedelta

import pytest_asyncio

from service.plans import shelve, subscribe, subscribed
from world import World, together


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


async def fault(world: World, path: str = "/v1/subscriptions", **what: object) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json={"path": path, **what})
    assert answer.status_code == 201, answer.text


async def statuses(world: World) -> dict[str, str]:
    listed = await world.at_stripe("GET", "/v1/subscriptions?limit=100&status=all")
    return {found["id"]: found["status"] for found in listed["data"]}
