"""Whoever pays everything that he is let pay, in whatever order, never pays more than is due."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from converge.observing import priced_booking
from converge.test_races import CHECKOUT, INTENT, at_stripe, payable, slow
from world import Json, World, together

TOTAL = 44_000
LAMP = {"name": "A lamp", "amount_cents": 700}
WISHES: dict[str, tuple[str, Json]] = {
    "the deposit on a page": (CHECKOUT, {"payment_type": "deposit"}),
    "the deposit in a form": (INTENT, {"payment_type": "deposit"}),
    "everything on a page": (CHECKOUT, {"payment_type": "full"}),
    "everything in a form": (INTENT, {"payment_type": "full"}),
    "an addon on a page": (CHECKOUT, {"payment_type": "addon", "line_items": [LAMP]}),
}
RETURNING = "pm_usBankAccount_insufficientFunds"
Again = Callable[[], Awaitable[Any]]


async def wish(world: World, booking: Json, what: str) -> Any:
    """Ask for something to pay; it may be refused for now, or for good."""
    path, body = WISHES[what]
    answer = await world.api.post(
        f"/api/v1{path}",
        json={"booking_id": booking["id"], **body},
        headers=world.bearer("u-1", "service", "u-1@example.com"),
    )
    assert answer.status_code in (200, 409), answer.text
    return answer


async def pay(world: World, opened: Json, card: str = "pm_card_visa") -> None:
    """Pay what the service has opened; Stripe may refuse."""
    if "session_id" in opened:
        await world.pay(opened, card, status=None)
    else:
        await world.confirm(opened, card, status=None)


def shown(left: Json) -> Json:
    """An object of Stripe's as the service shows it to who pays."""
    if left["object"] == "checkout.session":
        return {"session_id": left["id"], "amount_cents": left["amount_total"]}
    return {"id": left["id"]}


async def hear(world: World) -> None:
    """Deliver what has not been delivered, and let the worker finish."""
    known = {row["id"] for row in await world.rows("select id from stripe_events")}
    await world.converge([event for event in at_stripe(world, "event") if event["id"] not in known])


async def unheard(world: World, opened: Json, again: Again) -> None:
    await pay(world, opened)
    await again()


async def heard(world: World, opened: Json, again: Again) -> None:
    await pay(world, opened)
    await hear(world)
    await again()


async def at_once(world: World, opened: Json, again: Again) -> None:
    await slow(world, "/v1/checkout/sessions", "/v1/payment_pages", "/v1/payment_intents", times=9)
    results = await together(pay(world, opened), again(), again())
    await world.stripe.delete("/_sandbox/faults")
    assert not [result for result in results if isinstance(result, BaseException)]


async def debit_on_its_way(world: World, opened: Json, again: Again) -> None:
    await pay(world, opened, "pm_usBankAccount")
    await again()
    await hear(world)
    await again()


async def debit_came_back_unheard(world: World, opened: Json, again: Again) -> None:
    await pay(world, opened, RETURNING)
    await hear(world)
    await again()
    await world.settle()
    await again()


async def debit_came_back(world: World, opened: Json, again: Again) -> None:
    await pay(world, opened, RETURNING)
    await hear(world)
    await again()
    await world.settle()
    await hear(world)
    await again()


Meanwhile = Callable[[World, Json, Again], Awaitable[None]]
MEANWHILE: tuple[Meanwhile, ...] = (
    unheard,
    heard,
    at_once,
    debit_on_its_way,
    debit_came_back_unheard,
    debit_came_back,
)


@pytest.mark.parametrize("first", list(WISHES)[:2])  # all of them, each with each, below
@pytest.mark.parametrize("meanwhile", MEANWHILE)
async def test_nobody_pays_more_than_is_due(world: World, meanwhile: Meanwhile, first: str) -> None:
    await pay_all(world, meanwhile, first, "everything in a form")


@pytest.mark.proof
@pytest.mark.parametrize("second", WISHES)
@pytest.mark.parametrize("first", WISHES)
@pytest.mark.parametrize("meanwhile", MEANWHILE)
async def test_nobody_pays_more_than_is_due_whatever_he_asks_for(
    world: World, meanwhile: Meanwhile, first: str, second: str
) -> None:
    await pay_all(world, meanwhile, first, second)


async def pay_all(world: World, meanwhile: Meanwhile, first: str, second: str) -> None:
    booking = await priced_booking(world, total=TOTAL, deposit=10_000)
    opened = (await wish(world, booking, first)).json()
    await meanwhile(world, opened, lambda: wish(world, booking, second))
    for addon in (False, True):
        for left in payable(world, booking, addon=addon):
            await pay(world, shown(left))
    await world.settle()
    assert received(world, booking) <= TOTAL
    await hear(world)
    (row,) = await world.rows("select * from bookings")
    assert row["paid_cents"] - row["addons_cents"] == received(world, booking)


def received(world: World, booking: Json) -> int:
    """What Stripe has taken for a booking, besides addons."""
    ours = [
        intent
        for intent in at_stripe(world, "payment_intent")
        if intent["metadata"]["reference"] == f"booking:{booking['id']}"
        and intent["metadata"]["payment_type"] != "addon"
    ]
    return sum(intent["amount_received"] for intent in ours)


async def test_a_debit_that_comes_back_cannot_be_paid_at_a_price_that_has_changed(
    world: World,
) -> None:
    booking = await priced_booking(world, total=TOTAL, deposit=10_000)
    opened = (await wish(world, booking, "the deposit in a form")).json()
    await world.confirm(opened, RETURNING)
    cheaper = {"total_cents": 5_000, "deposit_cents": 5_000}

    async def change(status: int) -> None:
        await world.ask("PUT", f"/bookings/{booking['id']}", cheaper, role="service", status=status)

    await change(409)
    await hear(world)
    await change(409)
    await world.settle()
    await change(409)
    await hear(world)
    await change(200)
    assert payable(world, booking) == []
