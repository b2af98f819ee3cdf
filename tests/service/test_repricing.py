"""A change of price and what is open at Stripe: never payable at the old price."""

import pytest

from world import TOTAL, Json, World


async def session_at_stripe(world: World, session: Json) -> str:
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    return str(found["status"])


async def intent_at_stripe(world: World, intent: Json) -> str:
    return str((await world.at_stripe("GET", f"/v1/payment_intents/{intent['id']}"))["status"])


async def fault(world: World, **what: object) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json=what)
    assert answer.status_code == 201, answer.text


async def test_a_new_price_closes_the_page_that_shows_the_old_one(world: World) -> None:
    booking = await world.book()
    old = await world.session(booking, payment_type="full")
    await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    assert await session_at_stripe(world, old) == "expired"
    new = await world.session(booking, payment_type="full")
    assert (new["amount_cents"], new["session_id"] != old["session_id"]) == (55000, True)


async def test_a_new_price_cancels_the_intent_of_the_old_one(world: World) -> None:
    booking = await world.book()
    old = await world.intent(booking, payment_type="full")
    await world.ask("PUT", f"/bookings/{booking['id']}", {"menu": "kids"})
    assert await intent_at_stripe(world, old) == "canceled"
    assert (await world.intent(booking, payment_type="full"))["amount_cents"] == 24000


async def test_details_that_cost_nothing_leave_the_page_open(world: World) -> None:
    booking = await world.book()
    session = await world.session(booking)
    for change in (
        {"location": "elsewhere"},
        {"date": "2032-01-01", "time": "19:30"},
        {"guests": 8, "menu": "adult"},
    ):
        await world.ask("PUT", f"/bookings/{booking['id']}", change)
    assert await session_at_stripe(world, session) == "open"
    assert await world.session(booking) == session


@pytest.mark.parametrize("status", [500, 402])
async def test_while_stripe_cannot_close_the_page_the_price_stays(
    world: World, status: int
) -> None:
    booking = await world.book()
    session = await world.session(booking)
    await fault(world, method="POST", path="/v1/checkout/sessions/", status=status, times=9)
    answer = await world.api.put(
        f"/api/v1/bookings/{booking['id']}", json={"guests": 10}, headers=world.bearer()
    )
    assert answer.status_code >= 400
    assert await world.booking(booking) == booking
    assert await session_at_stripe(world, session) == "open"

    await world.stripe.delete("/_sandbox/faults")
    changed = await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    assert changed["total_cents"] == 55000
    assert await session_at_stripe(world, session) == "expired"


async def test_a_payment_that_came_first_counts_at_the_new_price(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="full"))
    changed = await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    await world.converge()
    now = await world.booking(booking)
    assert (now["total_cents"], now["paid_cents"], now["due_cents"]) == (55000, TOTAL, 11000)
    assert (changed["guests"], now["state"]) == (10, "confirmed")


async def test_a_page_that_was_paid_at_this_moment_cannot_be_closed(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking, payment_type="full")
    await world.confirm(intent)
    changed = await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    assert changed["paid_cents"] == TOTAL
    assert await intent_at_stripe(world, intent) == "succeeded"


async def test_a_new_price_closes_an_addon_as_well(world: World) -> None:
    booking = await world.book()
    asked = {"booking_id": booking["id"], "payment_type": "addon", "amount": 500}
    addon = await world.ask("POST", "/stripe/create-payment-intent", asked, role="service")
    await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 9})
    assert await intent_at_stripe(world, addon) == "canceled"
