"""An hour with a wrong key: nothing is believed gone, one alert is raised, and all heals."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import httpx2
import pytest
from prometheus_client import REGISTRY

from converge.networks import Network, reached_by
from converge.observing import priced_booking, row
from payments.sync import process
from payments.sync.throttle import Throttle
from stripe_sandbox.app import create_app as create_sandbox
from stripe_sandbox.config import Config
from world import STRIPE, Json, World

A_WEEK_PASSES: Final = "update stripe_events set received_at = received_at - interval '7 days'"
A_MINUTE_PASSES: Final = "update stripe_events set not_before = now() where not_before is not null"


@asynccontextmanager
async def revoked(world: World) -> AsyncIterator[World]:
    async with ruled(world, revoked=True):
        yield world


@asynccontextmanager
async def lacking_permissions(world: World) -> AsyncIterator[World]:
    async with ruled(world, allow=["account:read"]):
        yield world


@asynccontextmanager
async def ruled(world: World, **what: object) -> AsyncIterator[None]:
    rule = {"key": "sk_test_sandbox", **what}
    assert (await world.stripe.post("/_sandbox/keys", json=rule)).status_code == 201
    yield
    await world.stripe.delete("/_sandbox/keys")


@asynccontextmanager
async def of_another_account(world: World) -> AsyncIterator[World]:
    """A service that was started while Stripe did not answer; its key opens an empty account."""
    other = create_sandbox(Config(base_url=STRIPE))
    async with reached_by(world, lambda _: Network(httpx2.ASGITransport(app=other))) as wrong:
        stamp = "update installation set account = $1"
        ours = await world.db.fetchval("select account from installation")
        await world.db.execute(stamp, "acct_ours")
        yield wrong
        await world.db.execute(stamp, ours)
    await other.sandbox.aclose()


async def changed_at_stripe(world: World) -> list[Json]:
    """A customer, a product and a disputed payment, known to us; then the first two change."""
    booking = await priced_booking(world)
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_createDispute")
    product = await world.at_stripe("POST", "/v1/products", name="Lamp")
    customer = await world.at_stripe("POST", "/v1/customers", name="Ann")
    await world.converge()
    await world.settle()
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    changed = [
        await world.at_stripe("POST", f"/v1/products/{product['id']}", name="Lantern"),
        await world.at_stripe("POST", f"/v1/customers/{customer['id']}", name="Anna"),
    ]
    return [*changed, dispute]


def alerts() -> float:
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    return sum(s.value for s in samples if s.name == "payments_alerts_total")


@pytest.mark.parametrize(
    ("key", "minutes", "refusals"),
    [(revoked, 60, 1), (lacking_permissions, 15, 3), (of_another_account, 15, 1)],
)
async def test_a_time_with_a_wrong_key_costs_nothing_but_the_time(
    world: World,
    key: Callable[[World], AbstractAsyncContextManager[World]],
    minutes: int,
    refusals: int,
) -> None:
    objects = await changed_at_stripe(world)
    for event in await world.events():
        assert (await world.deliver(event)).status_code == 200
    waiting = "select * from stripe_events where not_before is not null or outcome = 'dead'"
    before = await world.rows(waiting)
    assert {row["object_id"] for row in before} >= {object["id"] for object in objects}
    told = alerts()
    async with key(world) as wrong:
        await world.db.execute(A_WEEK_PASSES)
        for _ in range(minutes):
            await world.db.execute(A_MINUTE_PASSES)
            await process.drain_fetches(wrong.ctx.sync, Throttle(10_000))
        after = await world.rows(waiting)
        assert {row["id"] for row in after} == {row["id"] for row in before}
        assert {(row["attempts"], row["outcome"]) for row in after} == {(0, None)}
        assert REGISTRY.get_sample_value("payments_stripe_key_accepted") == 0
    assert alerts() == told + refusals
    found = [await row(world, object) for object in objects[:2]]
    assert [(one["name"], one["deleted"]) for one in found] == [("Lamp", False), ("Ann", False)]
    await world.db.execute(A_MINUTE_PASSES)
    await world.work()
    assert await world.rows(waiting) == []
    found = [await row(world, object) for object in objects[:2]]
    assert [(one["name"], one["deleted"]) for one in found] == [("Lantern", False), ("Anna", False)]
    assert (await row(world, objects[2]))["status"] == "needs_response"


async def test_what_ends_is_told_again_when_it_comes_again(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Lamp")
    events = await world.events(type="product.created")
    told = alerts()
    for _ in range(2):
        async with revoked(world):
            await world.converge(events)
        await world.db.execute(A_MINUTE_PASSES)
        await world.work()
        assert (await row(world, product))["name"] == "Lamp"
        await world.db.execute("delete from stripe_events")
    assert alerts() == told + 2
