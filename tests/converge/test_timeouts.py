"""A Stripe that does not answer in time, whatever it does meanwhile: the next call converges."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from converge.networks import Network, reached_by
from converge.observing import priced_booking, row
from converge.test_faults import CALLS, ask, fault, insist, pays_once
from payments.sync import process
from payments.sync.throttle import Throttle
from world import Json, World

PATIENCE = 0.1
NEVER, LATE = 60, 3 * PATIENCE
HANGS: dict[str, Json] = {
    "it never begins": {"delay_seconds": NEVER, "times": 30},
    "it never says that it is done": {"delay_seconds": NEVER, "times": 30, "when": "after"},
    "it does it later": {"delay_seconds": LATE},
}
CHECKOUT, INTENT = "/stripe/create-checkout-session", "/stripe/create-payment-intent"


@pytest.fixture
async def hasty(world: World) -> AsyncIterator[World]:
    """A service that does not wait long. Stripe goes on with what it was asked for some time."""
    async with reached_by(
        world, lambda app: Network(app, gives_up_after=2 * LATE), timeout_seconds=PATIENCE
    ) as opened:
        yield opened


async def stop_hanging(world: World) -> None:
    """Stripe is itself again, once it has ended or given up what it was at."""
    await world.stripe.delete("/_sandbox/faults")
    await asyncio.sleep(2 * LATE)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", HANGS)
async def test_a_call_that_has_no_answer_in_time_is_made_good_by_the_next(
    hasty: World, call: str, what: str
) -> None:
    method, stripes_path, path = CALLS[call]
    booking = await priced_booking(hasty)
    await fault(hasty, method=method, path=stripes_path, **HANGS[what])
    answer = await ask(hasty, path, booking)
    assert answer.status_code in (200, 409, 504), answer.text
    await stop_hanging(hasty)
    await pays_once(hasty, booking, await insist(hasty, path, booking))


@pytest.mark.parametrize("what", HANGS)
async def test_a_page_whose_closing_has_no_answer_in_time_cannot_be_paid_beside_the_next(
    hasty: World, what: str
) -> None:
    booking = await priced_booking(hasty)
    old = await insist(hasty, CHECKOUT, booking)
    await fault(hasty, path=f"/v1/checkout/sessions/{old['session_id']}/expire", **HANGS[what])
    answer = await ask(hasty, INTENT, booking)
    assert answer.status_code in (200, 409, 504), answer.text
    await stop_hanging(hasty)
    opened = await insist(hasty, INTENT, booking)
    await hasty.pay(old, status=400)
    await pays_once(hasty, booking, opened)


async def test_a_look_that_has_no_answer_in_time_changes_nothing(hasty: World) -> None:
    booking = await priced_booking(hasty)
    opened = await insist(hasty, CHECKOUT, booking)
    look = f"/v1/checkout/sessions/{opened['session_id']}"
    await fault(hasty, method="GET", path=look, **HANGS["it never begins"])
    assert (await ask(hasty, CHECKOUT, booking)).status_code == 504
    await stop_hanging(hasty)
    assert await insist(hasty, CHECKOUT, booking) == opened
    await pays_once(hasty, booking, opened)


async def test_a_fetch_that_has_no_answer_in_time_costs_an_event_no_attempt(hasty: World) -> None:
    product = await hasty.at_stripe("POST", "/v1/products", name="Lamp")
    await hasty.deliver((await hasty.events(type="product.created"))[-1])
    await fault(hasty, method="GET", path="/v1/products/", **HANGS["it never begins"])
    await process.drain_fetches(hasty.ctx.sync, Throttle(1000))
    (left,) = await hasty.rows("select attempts, outcome, not_before from stripe_events")
    assert (left["attempts"], left["outcome"]) == (0, None)
    assert left["not_before"] is not None
    await stop_hanging(hasty)
    await hasty.db.execute("update stripe_events set not_before = now()")
    await hasty.work()
    assert (await row(hasty, product))["name"] == "Lamp"
