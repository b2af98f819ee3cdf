"""Stripe fails at each call in each way: nothing stays half-written, the next call converges."""

import asyncio
from typing import Any

import pytest

from converge.observing import priced_booking
from world import Json, World

FAULTS: dict[str, Json] = {
    "500 before the work": {"status": 500},
    "500 after the work": {"status": 500, "when": "after"},
    "429": {"status": 429},
    "cut before the work": {"cut": True},
    "cut after the work": {"cut": True, "when": "after"},
}
CALLS = {
    "customer": ("POST", "/v1/customers", "/stripe/create-checkout-session"),
    "session": ("POST", "/v1/checkout/sessions", "/stripe/create-checkout-session"),
    "intent": ("POST", "/v1/payment_intents", "/stripe/create-payment-intent"),
}
ONCE, ALWAYS = 1, 30


async def fault(world: World, **what: Any) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json=what)
    assert answer.status_code == 201, answer.text


async def ask(world: World, path: str, booking: Json, type: str = "deposit") -> Any:
    return await world.api.post(
        f"/api/v1{path}",
        json={"booking_id": booking["id"], "payment_type": type},
        headers=world.bearer("u-1", "user", "u-1@example.com"),
    )


async def insist(world: World, path: str, booking: Json, type: str = "deposit") -> Json:
    for _ in range(10):
        answer = await ask(world, path, booking, type)
        if answer.status_code == 200:
            break
        assert answer.status_code in (409, 502, 503, 504), answer.text
        await asyncio.sleep(0.05)
    found: Json = answer.json()
    assert answer.status_code == 200, found
    return found


async def pays_once(world: World, booking: Json, opened: Json) -> None:
    if "session_id" in opened:
        await world.pay(opened)
    else:
        await world.confirm(opened)
    await world.converge()
    paid = await world.booking(booking)
    assert (paid["paid_cents"], paid["state"]) == (10_000, "confirmed")
    assert await world.rows("select from open_payables where closed_at is null") == []
    assert await world.rows("select from stripe_events where not_before is not null") == []
    links = await world.rows("select stripe_customer_id from customer_links")
    assert [link["stripe_customer_id"] is not None for link in links] == [True]


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(ONCE, id="once", marks=pytest.mark.proof),
        pytest.param(ALWAYS, id="for a while"),
    ],
)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", FAULTS)
async def test_a_call_that_fails_at_stripe_is_made_good_by_the_next(
    world: World, call: str, what: str, times: int
) -> None:
    method, stripes_path, path = CALLS[call]
    booking = await priced_booking(world)
    await fault(world, method=method, path=stripes_path, times=times, **FAULTS[what])
    answer = await ask(world, path, booking)
    assert answer.status_code in (200, 502, 503), answer.text
    if times == ALWAYS and "after" not in what:
        assert answer.status_code != 200
    await world.stripe.delete("/_sandbox/faults")
    await pays_once(world, booking, await insist(world, path, booking))


@pytest.mark.parametrize("what", FAULTS)
async def test_a_page_that_could_not_be_closed_is_closed_by_the_next_call(
    world: World, what: str
) -> None:
    booking = await priced_booking(world)
    old = await insist(world, "/stripe/create-checkout-session", booking)
    expiry = f"/v1/checkout/sessions/{old['session_id']}/expire"
    await fault(world, path=expiry, times=ALWAYS, **FAULTS[what])
    refused = await ask(world, "/stripe/create-payment-intent", booking)
    await world.stripe.delete("/_sandbox/faults")
    assert refused.status_code in (200, 502, 503)
    opened = await insist(world, "/stripe/create-payment-intent", booking)
    await world.pay(old, status=400)
    await pays_once(world, booking, opened)


@pytest.mark.parametrize("what", FAULTS)
async def test_a_look_that_fails_changes_nothing(world: World, what: str) -> None:
    booking = await priced_booking(world)
    path = "/stripe/create-checkout-session"
    opened = await insist(world, path, booking)
    look = f"/v1/checkout/sessions/{opened['session_id']}"
    await fault(world, method="GET", path=look, times=ALWAYS, **FAULTS[what])
    assert (await ask(world, path, booking)).status_code in (502, 503)
    await world.stripe.delete("/_sandbox/faults")
    again = await insist(world, path, booking)
    assert again == opened
    await pays_once(world, booking, again)
