"""Products are bought at the catalogue's price, and bring their credits once."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from payments.domains.catalog.sync_file import Entry
from payments.sync import arrears
from service.accounts import PACK, ensure_sound, lines, read, sell, spend
from world import Json, World, together

PLAIN = Entry(key="poster", name="A poster", unit_amount=2500, currency="usd")
WINNING: Any = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
ADMIN: Any = {"role": "admin", "user": "boss"}


@pytest_asyncio.fixture(autouse=True)
async def sold(world: World) -> AsyncIterator[None]:
    await sell(world, PACK, PLAIN)
    yield
    await ensure_sound(world)


async def session(world: World, product: str = "credits_100", **body: Any) -> Json:
    path = "/stripe/create-checkout-session"
    return await world.ask("POST", path, {"product_id": product, **body})


async def bought(world: World, card: str = "pm_card_visa", **body: Any) -> str:
    """A pack that was paid on Stripe's page; the payment's id."""
    opened = await session(world, **body)
    await world.pay(opened, card)
    await world.settle()
    await world.converge()
    listed = await world.ask("GET", "/stripe/payments")
    found: str = listed["data"][0]["id"]
    return found


async def refund(world: World, payment: str, **body: Any) -> Json:
    made = await world.ask("POST", "/stripe/refund", {"payment_id": payment, **body}, **ADMIN)
    await world.converge()
    return made


async def test_a_pack_is_bought_on_stripes_page_and_its_credits_are_there(world: World) -> None:
    payment = await bought(world, quantity=2)
    found = await read(world)
    assert found["balance"] == 200
    [entry] = found["data"]
    [lot] = found["lots"]
    assert (entry["kind"], entry["amount"], entry["source"]) == ("grant", 200, f"payment:{payment}")
    assert (lot["credit_type"], lot["expires_at"]) == ("payg", None)
    intent = await world.at_stripe("GET", f"/v1/payment_intents/{payment}")
    assert entry["metadata"] == {
        "payment_intent_id": payment,
        "stripe_customer_id": intent["customer"],
        "amount_paid": 2000,
    }
    [basis] = await world.rows(
        "select basis ->> 'unit_amount', basis ->> 'quantity' from credit_lots"
    )
    assert tuple(basis) == ("1000", "2")


async def test_an_intent_carries_what_it_is_for(world: World) -> None:
    price = await world.db.fetchval("select id from stripe.prices where lookup_key = 'credits_100'")
    body = {"product_id": price, "quantity": 3}
    opened = await world.ask("POST", "/stripe/create-payment-intent", body)
    assert (opened["amount_cents"], opened["payment_type"]) == (3000, "full")
    intent = await world.at_stripe("GET", f"/v1/payment_intents/{opened['id']}")
    product = await world.db.fetchval("select product from stripe.prices where id = $1", price)
    expected = {"user_id": "u-1", "product_id": product, "quantity": "3", "credit_amount": "300"}
    assert intent["metadata"].items() >= expected.items()
    assert (intent["status"], intent["customer"]) == ("requires_payment_method", intent["customer"])
    await world.confirm(opened)
    await world.converge()
    await world.converge()
    assert (await read(world))["balance"] == 300
    again = await world.ask("POST", "/stripe/create-payment-intent", {"product_id": product})
    assert again["id"] != opened["id"]


async def test_whatever_events_come_in_whatever_order_it_is_granted_once(world: World) -> None:
    opened = await session(world)
    await world.pay(opened)
    events = await world.events()
    for _ in range(2):
        await world.converge(events[::-1])
        await world.converge(events)
    assert await lines(world) == [("grant", 100)]


async def test_half_refunded_payments_end_with_half_whatever_is_heard_when(world: World) -> None:
    buyers = [f"u-{number}" for number in range(8)]
    for user in buyers:
        path = "/stripe/create-payment-intent"
        intent = await world.ask("POST", path, {"product_id": "credits_100"}, user=user)
        await world.confirm(intent, "pm_card_createDispute")
        await world.settle()
        dispute = (await world.at_stripe("GET", "/v1/disputes"))["data"][0]
        await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **WINNING)
        await world.settle()
        form: Any = {"payment_intent": intent["id"], "amount": 500}
        await world.at_stripe("POST", "/v1/refunds", **form)
    events = await world.events()
    random = Random(7)
    for event in random.sample(events * 2, len(events) * 2):
        assert (await world.deliver(event)).status_code == 200
        if random.random() < 0.2:
            await world.work()
    await world.work()
    for user in buyers:
        assert (await read(world, user=user))["balance"] == 50, await lines(world, user)


async def test_two_tabs_see_one_page_and_another_order_another(world: World) -> None:
    opened = await together(*(session(world) for _ in range(4)))
    pages = {page["session_id"] for page in opened if not isinstance(page, Exception)}
    assert len(pages) == 1, opened
    assert (await session(world, quantity=2))["session_id"] not in pages
    await world.pay(opened[0])
    await world.converge()
    assert (await session(world))["session_id"] not in pages


async def test_a_price_that_changes_leaves_what_was_sold_as_it_was(world: World) -> None:
    payment = await bought(world)
    dearer = PACK.model_copy(
        update={"unit_amount": 2000, "metadata": {"credit_amount": "50", "credit_type": "payg"}}
    )
    await sell(world, dearer)
    await refund(world, payment, amount_cents=500)
    assert await lines(world) == [("grant", 100), ("claw_back", -50)]
    await bought(world)
    assert (await read(world))["balance"] == 100


async def test_what_is_given_back_takes_its_part_and_the_last_cent_the_rest(world: World) -> None:
    payment = await bought(world)
    for cents in (333, 332, 335):
        await refund(world, payment, amount_cents=cents)
    assert await lines(world) == [
        ("grant", 100), ("claw_back", -33), ("claw_back", -33), ("claw_back", -34),
    ]  # fmt: skip


async def test_a_refund_that_fails_gives_back_what_it_took(world: World) -> None:
    payment = await bought(world, card="pm_card_refundFail")
    await spend(world, 40)
    await refund(world, payment)
    assert [(await read(world))[name] for name in ("balance", "debt")] == [0, 40]
    await world.settle()
    await world.converge()
    assert [(await read(world))[name] for name in ("balance", "debt")] == [60, 0]
    assert [kind for kind, _ in await lines(world)][-2:] == ["debt_payment", "reinstatement"]


@pytest.mark.parametrize(
    ("evidence", "balance"), [("winning_evidence", 100), ("losing_evidence", 0)]
)
async def test_a_dispute_takes_the_credits_until_it_is_won(
    world: World, evidence: str, balance: int
) -> None:
    await bought(world, card="pm_card_createDispute")
    assert (await read(world))["balance"] == 0
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    form = WINNING | {"evidence[uncategorized_text]": evidence}
    await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    await world.settle()
    await world.converge()
    assert (await read(world))["balance"] == balance


async def test_an_inquiry_takes_nothing(world: World) -> None:
    await bought(world, card="pm_card_createDisputeInquiry")
    assert (await read(world))["balance"] == 100


async def test_effects_that_were_paused_are_made_up(world: World) -> None:
    path = "/stripe/switches/effects"
    opened = await session(world)
    await world.ask("PUT", path, {"paused": True}, **ADMIN)
    world.ctx.sync.switches.forget()
    await world.pay(opened)
    await world.converge()
    assert (await read(world))["balance"] == 0
    body = {"type": ["payment_intent.succeeded"], "dry_run": True}
    shown = await world.ask("POST", "/stripe/events/replay", body, **ADMIN)
    tables = {row["table"] for row in shown["rehearsal"]["differences"]}
    assert tables >= {"credit_accounts", "credit_lots", "credit_entries"}
    assert (await read(world))["balance"] == 0
    await world.ask("PUT", path, {"paused": False}, **ADMIN)
    world.ctx.sync.switches.forget()
    await arrears.make_up(world.ctx)
    assert (await read(world))["balance"] == 100


async def test_what_brings_no_credits_is_sold_too(world: World) -> None:
    await bought(world, product="poster")
    assert (await read(world))["data"] == []


async def test_a_service_buys_for_a_user_who_then_owns_it(world: World) -> None:
    path = "/stripe/create-checkout-session"
    price = await world.db.fetchval("select id from stripe.prices where lookup_key = 'credits_100'")
    body = {"price_id": price, "user_id": 123, "mode": "payment"}
    opened = await world.ask("POST", path, body, role="service", user="shop")
    await world.pay(opened)
    await world.converge()
    assert (await read(world, user="123"))["balance"] == 100
    refused = await world.ask("POST", path, body, status=403)
    assert "user_id" in refused["detail"]
    reference = {"reference": opened["reference"]}
    await world.ask("POST", path, reference, status=404, user="u-2")
    taken = await world.ask("POST", path, reference, status=409, user="123")
    assert "paid" in taken["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"product_id": "nothing"}, "nothing on sale"),
        ({"product_id": "credits_100", "quantity": 0}, "quantity"),
        ({"product_id": "credits_100", "quantity": 10_001}, "quantity"),
        ({"product_id": "credits_100", "booking_id": "bk_1"}, "one of"),
        ({"booking_id": "bk_1", "quantity": 2}, "product_id"),
        ({"product_id": "credits_100", "amount_cents": 1}, "1000"),
        ({}, "one of"),
    ],
)
async def test_an_order_that_cannot_be_is_refused(world: World, body: Json, told: str) -> None:
    path = "/stripe/create-payment-intent"
    assert told in (await world.ask("POST", path, body, status=422))["detail"]
    assert (await world.at_stripe("GET", "/v1/payment_intents"))["data"] == []


async def offer(world: World, product: str, **price: Any) -> Json:
    """Somebody makes a price in the dashboard."""
    form = {"product": product, "currency": "usd", "unit_amount": 700, **price}
    made = await world.at_stripe("POST", "/v1/prices", **form)
    await world.converge()
    return made


async def test_what_is_not_sold_once_at_a_fixed_price_is_refused(world: World) -> None:
    product = (await world.at_stripe("POST", "/v1/products", name="Pro"))["id"]
    monthly = await offer(world, product, **{"recurring[interval]": "month"})
    path = "/stripe/create-payment-intent"
    refused = await world.ask("POST", path, {"product_id": monthly["id"]}, status=422)
    assert "subscription" in refused["detail"]
    once = await offer(world, product)
    refused = await world.ask("POST", path, {"product_id": product}, status=422)
    assert once["id"] in refused["detail"]
    metadata: Any = {"metadata[credit_amount]": "many"}
    await world.at_stripe("POST", f"/v1/products/{product}", **metadata)
    await world.converge()
    refused = await world.ask("POST", path, {"product_id": once["id"]}, status=409)
    assert "credit_amount" in refused["detail"]
