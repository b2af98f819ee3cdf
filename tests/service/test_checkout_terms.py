"""AUTOMATIC_TAX and PROMOTION_CODES: what a Checkout page does besides taking what is due."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest_asyncio

from service.accounts import ensure_sound, lines, read
from world import DEPOSIT, Database, Json, Shelf, World, open_world


@pytest_asyncio.fixture
async def terms(database: Database, shelf: Shelf) -> AsyncIterator[World]:
    """Both are on, and the offline Stripe levies 10 %."""
    await database.empty()
    on = {"automatic_tax": True, "promotion_codes": True}
    async with open_world(database.url, shelf=shelf, **on) as world:
        stripe = world.sandbox.sandbox
        stripe.config = replace(stripe.config, tax_rate=Decimal(10))
        yield world
        await ensure_sound(world)


async def buy(world: World) -> Json:
    path = "/stripe/create-checkout-session"
    return await world.ask("POST", path, {"product_id": "credits_100"})


async def at_stripe(world: World, session: Json) -> Json:
    return await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")


async def typed(world: World, session: Json, **coupon: Any) -> Json:
    """The session, once the customer has typed a promotion code on its page."""
    off = await world.at_stripe("POST", "/v1/coupons", **coupon)
    code: Any = {"promotion[type]": "coupon", "promotion[coupon]": off["id"], "code": "SPRING"}
    await world.at_stripe("POST", "/v1/promotion_codes", **code)
    page = f"/c/pay/{session['session_id']}/promotion"
    await world.stripe.post(page, data={"promotion_code": "SPRING"})
    return await at_stripe(world, session)


async def test_without_the_settings_a_page_takes_neither(world: World) -> None:
    found = await at_stripe(world, await buy(world))
    assert found["automatic_tax"]["enabled"] is False
    assert not found["allow_promotion_codes"]


async def test_the_tax_is_within_what_is_due_so_a_booking_is_paid_by_its_price(
    terms: World,
) -> None:
    booking = await terms.book()
    session = await terms.session(booking, payment_type="deposit")
    found = await at_stripe(terms, session)
    assert found["automatic_tax"]["enabled"] is True
    assert found["amount_total"] == DEPOSIT
    assert found["total_details"]["amount_tax"] == round(DEPOSIT / 11)
    await terms.pay(session)
    await terms.converge()
    paid = await terms.booking(booking)
    assert (paid["paid_cents"], paid["state"]) == (DEPOSIT, "confirmed")


async def test_a_booking_takes_no_promotion_code_since_the_rest_would_stay_due(
    terms: World,
) -> None:
    session = await terms.session(await terms.book())
    assert not (await at_stripe(terms, session))["allow_promotion_codes"]


async def test_a_code_lowers_what_a_product_costs_and_not_what_it_brings(terms: World) -> None:
    session = await buy(terms)
    found = await typed(terms, session, percent_off=25, duration="once")
    assert (found["allow_promotion_codes"], found["amount_total"]) == (True, 750)
    await terms.pay(session | {"amount_cents": 750})
    await terms.converge()
    assert await lines(terms) == [("grant", 100)]
    account = await read(terms)
    assert account["data"][0]["metadata"]["amount_paid"] == 750
    payment = account["data"][0]["metadata"]["payment_intent_id"]
    body = {"payment_id": payment, "amount_cents": 375}
    await terms.ask("POST", "/stripe/refund", body, role="admin", user="boss")
    await terms.converge()
    assert (await read(terms))["balance"] == 50


async def test_a_code_that_leaves_nothing_to_pay_brings_the_credits_once(terms: World) -> None:
    session = await buy(terms)
    found = await typed(terms, session, percent_off=100, duration="once")
    assert (found["amount_total"], found["payment_status"]) == (0, "no_payment_required")
    await terms.pay(session | {"amount_cents": 0})
    events = await terms.events()
    await terms.converge(events[::-1])
    await terms.converge(events)
    assert await lines(terms) == [("grant", 100)]
    [entry] = (await read(terms))["data"]
    assert entry["source"] == f"checkout_session:{session['session_id']}"
    assert entry["metadata"]["amount_paid"] == 0
    shown = await terms.ask("GET", f"/stripe/checkout-sessions/{session['session_id']}")
    assert shown["paid"] is True
    assert (await buy(terms))["session_id"] != session["session_id"]
