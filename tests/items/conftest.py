"""One world for all the items of a document, in which much has happened once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from payments.domains.portal import ensure_configuration
from world import Database, Json, Shelf, World, open_world


@dataclass(frozen=True)
class Story:
    """A booking of u-1 and the payment that was made for it. Tests only look at them."""

    booking: Json
    payment: Json


@dataclass(frozen=True)
class Stories:
    """`deposit` was paid on Stripe's page, the others in the shop's own; of `refunded` an admin has
    given $50.00 back.
    """

    deposit: Story
    full: Story
    refunded: Story
    declined: Story
    disputed: Story


CARDS = {
    "full": ("pm_card_visa", 200),
    "refunded": ("pm_card_visa", 200),
    "declined": ("pm_card_visa_chargeDeclined", 402),
    "disputed": ("pm_card_createDispute", 200),
}


@pytest.fixture(scope="module")
async def shop(database: Database, shelf: Shelf) -> AsyncIterator[World]:
    """It is not emptied between the tests of a module."""
    await database.empty()
    async with open_world(database.url, shelf=shelf) as opened:
        await ensure_configuration(opened.ctx)
        yield opened


@pytest.fixture(scope="module")
async def stories(shop: World) -> Stories:
    bookings = {name: await shop.book() for name in ("deposit", *CARDS)}
    await shop.pay(await shop.session(bookings["deposit"], payment_type="deposit"))
    for name, (card, status) in CARDS.items():
        await shop.confirm(await shop.intent(bookings[name], payment_type="full"), card, status)
    await shop.settle()
    await catch_up(shop)
    paid = (await story(shop, bookings["refunded"])).payment
    body = {"payment_id": paid["id"], "amount_cents": 5000, "reason": "the cook was ill"}
    await shop.ask("POST", "/stripe/refund", body, role="admin", user="boss")
    await catch_up(shop)
    return Stories(**{name: await story(shop, booking) for name, booking in bookings.items()})


async def story(shop: World, booking: Json) -> Story:
    """What is shown now of a booking and its one payment."""
    path = f"/stripe/payments?booking_id={booking['id']}"
    [payment] = (await shop.ask("GET", path))["data"]
    detail = await shop.ask("GET", f"/stripe/payments/{payment['id']}", role="admin")
    return Story(await shop.booking(booking), detail)


async def catch_up(shop: World) -> None:
    """Deliver what has not been delivered yet, and let the worker finish."""
    known = {id for (id,) in await shop.rows("select id from stripe_events")}
    await shop.converge([event for event in await shop.events() if event["id"] not in known])
