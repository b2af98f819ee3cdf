"""Many at once: one customer a user, one thing to pay a slot, whatever comes between."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from converge.observing import priced_booking
from world import Json, World, together

PAYABLE = {"open", "requires_payment_method", "requires_confirmation", "requires_action"}
CHECKOUT = "/stripe/create-checkout-session"
INTENT = "/stripe/create-payment-intent"


def at_stripe(world: World, kind: str) -> list[Json]:
    return list(world.sandbox.sandbox.state.rows(kind).values())


def payable(world: World, booking: Json, *, addon: bool = False) -> list[Json]:
    """What a customer can pay now for a booking, of all that Stripe has."""
    reference = f"booking:{booking['id']}"
    sessions = at_stripe(world, "checkout.session")
    of_sessions = {session["payment_intent"] for session in sessions}
    loose = [i for i in at_stripe(world, "payment_intent") if i["id"] not in of_sessions]
    return [
        object
        for object in (*sessions, *loose)
        if object["metadata"].get("reference") == reference
        and (object["metadata"].get("payment_type") == "addon") is addon
        and object["status"] in PAYABLE
    ]


async def fault(world: World, **what: Any) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json=what)
    assert answer.status_code == 201, answer.text


async def slow(world: World, *paths: str, times: int = 100) -> None:
    """Make Stripe slow at these paths, so that calls meet each other there."""
    for path in paths:
        await fault(world, path=path, delay_seconds=0.05, times=times)


async def post(world: World, path: str, body: Json, role: str = "user") -> Any:
    """One request, whatever its answer."""
    headers = world.bearer("u-1", role, "u-1@example.com")  # type: ignore[arg-type]  # a Role
    return await world.api.post(f"/api/v1{path}", json=body, headers=headers)


def statuses(answers: Sequence[Any]) -> set[int]:
    assert not [answer for answer in answers if isinstance(answer, BaseException)]
    return {answer.status_code for answer in answers}


async def insist(world: World, path: str, body: Json, role: str = "user") -> Json:
    """Ask as a client does that honours Retry-After: again after 409, 502, 503 and 504."""
    for _ in range(20):
        answer = await post(world, path, body, role)
        if answer.status_code not in (409, 502, 503, 504):
            break
        await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


# -- customers


async def test_twenty_first_checkouts_of_one_user_make_one_customer(world: World) -> None:
    bookings = [await priced_booking(world) for _ in range(20)]
    await slow(world, "/v1/customers")
    answers = await together(*(post(world, CHECKOUT, {"booking_id": b["id"]}) for b in bookings))
    assert statuses(answers) <= {200, 409}
    (customer,) = at_stripe(world, "customer")
    assert customer["metadata"]["user_id"] == "u-1"
    links = await world.rows("select * from customer_links")
    assert [link["stripe_customer_id"] for link in links] == [customer["id"]]
    for booking in bookings:
        await insist(world, CHECKOUT, {"booking_id": booking["id"]})
    assert {s["customer"] for s in at_stripe(world, "checkout.session")} == {customer["id"]}


# -- one open payable


async def test_twenty_equal_checkouts_open_one_session(world: World) -> None:
    booking = await priced_booking(world)
    await insist(world, INTENT, {"booking_id": (await priced_booking(world))["id"]})
    await slow(world, "/v1/checkout/sessions")
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    answers = await together(*(post(world, CHECKOUT, body) for _ in range(20)))
    assert statuses(answers) <= {200, 409}
    (session,) = at_stripe(world, "checkout.session")
    opened = {answer.json()["session_id"] for answer in answers if answer.status_code == 200}
    assert opened == {session["id"]}


async def test_twenty_different_checkouts_leave_one_thing_to_pay(world: World) -> None:
    booking = await priced_booking(world)
    wishes = [
        (CHECKOUT, {"payment_type": "deposit"}),
        (CHECKOUT, {"payment_type": "full"}),
        (CHECKOUT, {"payment_type": "deposit", "success_url": "https://shop.example/thanks"}),
        (INTENT, {"payment_type": "deposit"}),
        (INTENT, {"payment_type": "full"}),
    ] * 4
    await slow(world, "/v1/checkout/sessions", "/v1/payment_intents")
    answers = await together(
        *(post(world, path, {"booking_id": booking["id"], **wish}) for path, wish in wishes)
    )
    assert statuses(answers) <= {200, 409}
    assert len(payable(world, booking)) <= 1
    last = await insist(world, CHECKOUT, {"booking_id": booking["id"], "payment_type": "deposit"})
    assert [object["id"] for object in payable(world, booking)] == [last["session_id"]]


async def test_an_addon_may_be_open_beside_what_is_due(world: World) -> None:
    booking = await priced_booking(world)
    due = {"booking_id": booking["id"], "payment_type": "deposit"}
    addon = {"booking_id": booking["id"], "payment_type": "addon", "amount_cents": 700}
    answers = await together(
        *(post(world, INTENT, body, "service") for body in (due, addon) for _ in range(5))
    )
    assert statuses(answers) <= {200, 409}
    await insist(world, INTENT, due, "service")
    await insist(world, INTENT, addon, "service")
    assert len(payable(world, booking)) == 1
    assert len(payable(world, booking, addon=True)) == 1


async def test_a_debit_that_failed_leaves_one_thing_to_pay(world: World) -> None:
    booking = await priced_booking(world)
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    debit = await insist(world, INTENT, body)
    await world.confirm(debit, "pm_usBankAccount_insufficientFunds")
    await world.converge()
    assert (await world.booking(booking))["processing_cents"] == 10_000
    await world.settle()
    await world.converge()
    assert (await world.booking(booking))["processing_cents"] == 0
    await insist(world, CHECKOUT, body)
    assert len(payable(world, booking)) == 1


async def test_a_session_that_stripe_made_and_nobody_heard_of_is_taken_up(world: World) -> None:
    booking = await priced_booking(world)
    await insist(world, INTENT, {"booking_id": (await priced_booking(world))["id"]})
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    await fault(world, path="/v1/checkout/sessions", when="after", cut=True, times=3)
    assert (await post(world, CHECKOUT, body)).status_code == 502
    opened = await insist(world, CHECKOUT, body)
    assert [s["id"] for s in payable(world, booking)] == [opened["session_id"]]


async def test_a_session_that_stripe_made_and_nobody_heard_of_gives_way_to_another_wish(
    world: World,
) -> None:
    booking = await priced_booking(world)
    await insist(world, INTENT, {"booking_id": (await priced_booking(world))["id"]})
    lost = {"booking_id": booking["id"], "payment_type": "deposit"}
    await fault(world, path="/v1/checkout/sessions", when="after", cut=True, times=3)
    assert (await post(world, CHECKOUT, lost)).status_code == 502
    other = lost | {"payment_type": "full"}
    assert (await post(world, CHECKOUT, other)).status_code == 409
    world.clock.ahead = timedelta(minutes=2)
    opened = await insist(world, CHECKOUT, other)
    reserved = await world.rows("select stripe_id from open_payables where closed_at is null")
    assert opened["session_id"] in {found["stripe_id"] for found in reserved}


# -- a price that changes


async def change(world: World, booking: Json, total: int) -> Any:
    headers = world.bearer("u-1", "service", None)
    return await world.api.put(
        f"/api/v1/bookings/{booking['id']}", json={"total_cents": total}, headers=headers
    )


def prices(world: World, booking: Json) -> set[int]:
    amounts = {
        object.get("amount_total", object.get("amount")) for object in payable(world, booking)
    }
    return {amount for amount in amounts if amount is not None}


async def test_a_price_that_changes_while_pages_are_opened_leaves_no_page_at_the_old_price(
    world: World,
) -> None:
    booking = await priced_booking(world)
    await slow(world, "/v1/checkout/sessions", "/v1/customers")
    body = {"booking_id": booking["id"], "payment_type": "full"}
    answers = await together(
        *(
            change(world, booking, 40_000 + step) if step % 3 == 0 else post(world, CHECKOUT, body)
            for step in range(15)
        )
    )
    assert statuses(answers) <= {200, 409}
    total = (await world.booking(booking))["total_cents"]
    assert prices(world, booking) <= {total}
    opened = await insist(world, CHECKOUT, body)
    assert opened["amount_cents"] == total
    assert prices(world, booking) == {total}


@pytest.mark.parametrize("order", ["pay first", "change first", "at once"])
async def test_a_payment_and_a_change_of_price_agree_on_what_is_due(
    world: World, order: str
) -> None:
    booking = await priced_booking(world)
    session = await insist(world, CHECKOUT, {"booking_id": booking["id"], "payment_type": "full"})
    await slow(world, "/v1/checkout/sessions", "/v1/payment_pages", times=20)
    paying, changing = world.pay(session, status=None), change(world, booking, 50_000)
    if order == "pay first":
        await paying
        await changing
    elif order == "change first":
        await changing
        await paying
    else:
        await together(paying, changing)
    await world.converge()
    settled = await world.booking(booking)
    paid = [i for i in at_stripe(world, "payment_intent") if i["status"] == "succeeded"]
    assert settled["paid_cents"] == sum(intent["amount_received"] for intent in paid)
    assert settled["due_cents"] == settled["total_cents"] - settled["paid_cents"]
    assert len(payable(world, booking)) <= 1
    assert prices(world, booking) <= {settled["due_cents"]}


@pytest.mark.parametrize(("path", "type"), [(CHECKOUT, "deposit"), (CHECKOUT, "full")])
async def test_what_was_paid_before_its_webhook_came_cannot_be_paid_again(
    world: World, path: str, type: str
) -> None:
    booking = await priced_booking(world, total=10_000, deposit=10_000)
    wish = {"booking_id": booking["id"], "payment_type": "deposit"}
    await world.pay(await insist(world, CHECKOUT, wish))
    answer = await post(world, path, wish | {"payment_type": type})
    assert payable(world, booking) == []
    assert answer.status_code == 409


async def test_an_intent_paid_before_its_webhook_came_cannot_be_paid_again(world: World) -> None:
    booking = await priced_booking(world)
    wish = {"booking_id": booking["id"], "payment_type": "deposit"}
    await world.confirm(await insist(world, INTENT, wish))
    assert (await post(world, INTENT, wish)).status_code == 409
    assert payable(world, booking) == []


@pytest.mark.parametrize("order", ["pay first", "replace first", "at once"])
async def test_a_page_that_is_paid_while_another_replaces_it_is_not_paid_twice(
    world: World, order: str
) -> None:
    booking = await priced_booking(world)
    wish = {"booking_id": booking["id"], "payment_type": "deposit"}
    first = await insist(world, CHECKOUT, wish)
    await slow(world, "/v1/checkout/sessions", "/v1/payment_pages", times=20)
    paying, replacing = world.pay(first, status=None), post(world, INTENT, wish)
    if order == "pay first":
        await paying
        answer = await replacing
    elif order == "replace first":
        answer = await replacing
        await paying
    else:
        _, answer = await together(paying, replacing)
    if answer.status_code == 200:
        await world.confirm(answer.json(), status=None)
    await world.converge()
    assert (await world.booking(booking))["paid_cents"] == 10_000
    assert payable(world, booking) == []
