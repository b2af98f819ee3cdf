"""Checkout Sessions: what a session holds, how it completes, how it ends."""

import asyncio
import time

import pytest
import stripe

from stripe_sandbox.engine.work import JOB
from stripe_sandbox.testing import Bench

TEA = {
    "price_data": {"currency": "usd", "unit_amount": 1_200, "product_data": {"name": "Tea"}},
    "quantity": 2,
}
SUCCESS = "http://shop.test/success?session_id={CHECKOUT_SESSION_ID}"


async def open_session(bench: Bench, **params: object) -> stripe.checkout.Session:
    return await bench.stripe.v1.checkout.sessions.create_async(
        {  # type: ignore[arg-type]  # by name
            "mode": "payment",
            "success_url": SUCCESS,
            "line_items": [TEA],
            **params,
        }
    )


async def confirm(bench: Bench, session: stripe.checkout.Session, method: str) -> int:
    form = {"payment_method": method, "expected_amount": str(session.amount_total)}
    response = await bench.http.post(f"/v1/payment_pages/{session.id}/confirm", data=form)
    return response.status_code


async def test_an_open_session_has_no_payment_intent(bench: Bench) -> None:
    session = await open_session(bench, client_reference_id="B-7", metadata={"booking": "7"})
    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.url == f"http://sandbox.test/c/pay/{session.id}"
    assert (session.amount_subtotal, session.amount_total, session.currency) == (2400, 2400, "usd")
    assert (session.payment_intent, session.customer) == (None, None)
    assert session.client_reference_id == "B-7"
    assert session.expires_at == session.created + 24 * 3600
    assert "line_items" not in session


async def test_lines_are_shown_on_request(bench: Bench) -> None:
    product = await bench.stripe.v1.products.create_async(
        {"name": "Cake", "default_price_data": {"currency": "usd", "unit_amount": 500}}
    )
    cake = {"price": product.default_price, "quantity": 1}
    session = await open_session(bench, line_items=[TEA, cake], expand=["line_items"])
    assert session.line_items is not None
    assert [line.description for line in session.line_items.data] == ["Tea", "Cake"]
    assert session.amount_total == 2_900
    listed = await bench.stripe.v1.checkout.sessions.line_items.list_async(
        session.id, {"limit": 1, "expand": ["data.price.product"]}
    )
    assert listed.has_more
    assert listed.data[0].price is not None
    assert isinstance(listed.data[0].price.product, stripe.Product)
    assert listed.data[0].price.active is False


async def test_a_session_is_paid_as_the_official_cli_pays_it(bench: Bench) -> None:
    session = await open_session(
        bench,
        customer_email="a@example.com",
        payment_intent_data={"metadata": {"booking": "7"}, "description": "Booking 7"},
    )
    shown = (await bench.http.get(f"/v1/payment_pages/{session.id}")).json()
    assert (shown["object"], shown["amount_total"]) == ("payment_page", 2400)
    assert await confirm(bench, session, "pm_card_visa") == 200
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge"]}
    )
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details is not None
    assert paid.customer_details.email == "a@example.com"
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.description) == ("succeeded", "Booking 7")
    assert intent.metadata.to_dict() == {"booking": "7"}
    assert (await bench.events())[-4:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    assert await confirm(bench, session, "pm_card_visa") == 400


async def test_the_expected_amount_is_held_against_the_session(bench: Bench) -> None:
    session = await open_session(bench)
    form = {"payment_method": "pm_card_visa", "expected_amount": "1"}
    response = await bench.http.post(f"/v1/payment_pages/{session.id}/confirm", data=form)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "expected_amount")


async def test_a_declined_session_stays_payable_with_the_same_intent(bench: Bench) -> None:
    session = await open_session(bench)
    assert await confirm(bench, session, "pm_card_chargeDeclined") == 402
    declined = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (declined.status, declined.payment_status) == ("open", "unpaid")
    assert declined.payment_intent
    assert await confirm(bench, session, "pm_card_visa") == 200
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (paid.payment_intent, paid.payment_status) == (declined.payment_intent, "paid")


@pytest.mark.parametrize(
    ("account", "payment_status", "event"),
    [
        ("pm_usBankAccount_success", "paid", "checkout.session.async_payment_succeeded"),
        ("pm_usBankAccount_insufficientFunds", "unpaid", "checkout.session.async_payment_failed"),
    ],
)
async def test_a_debit_completes_the_session_before_it_is_paid(
    bench: Bench, account: str, payment_status: str, event: str
) -> None:
    session = await open_session(bench)
    await confirm(bench, session, account)
    waiting = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert (await bench.events())[-1] == "checkout.session.completed"
    await bench.settle()
    settled = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (settled.status, settled.payment_status) == ("complete", payment_status)
    assert (await bench.events())[-1] == event


async def test_a_manual_capture_pays_the_session_when_it_is_captured(bench: Bench) -> None:
    session = await open_session(bench, payment_intent_data={"capture_method": "manual"})
    await confirm(bench, session, "pm_card_visa")
    held = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (held.status, held.payment_status) == ("complete", "unpaid")
    await bench.stripe.v1.payment_intents.capture_async(str(held.payment_intent))
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert paid.payment_status == "paid"
    assert "checkout.session.async_payment_succeeded" not in await bench.events()


async def test_a_session_that_costs_nothing_needs_no_payment(bench: Bench) -> None:
    free = {**TEA, "price_data": {**TEA["price_data"], "unit_amount": 0}}  # type: ignore[dict-item]  # a hash
    session = await open_session(bench, line_items=[free])
    assert session.payment_status == "no_payment_required"
    assert await confirm(bench, session, "") == 200
    done = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_intent) == ("complete", None)


async def test_a_customer_is_made_when_the_session_says_always(bench: Bench) -> None:
    session = await open_session(bench, customer_creation="always", customer_email="n@example.com")
    await confirm(bench, session, "pm_card_visa")
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["customer"]}
    )
    assert isinstance(paid.customer, stripe.Customer)
    assert paid.customer.email == "n@example.com"


async def test_a_card_is_saved_for_later(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "c@example.com"})
    session = await open_session(
        bench, customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"}
    )
    assert session.customer_details is not None
    assert session.customer_details.email == "c@example.com"
    await confirm(bench, session, "pm_card_visa")
    saved = await bench.stripe.v1.customers.payment_methods.list_async(customer.id)
    assert len(saved.data) == 1


async def test_an_open_session_expires_once(bench: Bench) -> None:
    session = await open_session(bench)
    await confirm(bench, session, "pm_card_chargeDeclined")
    expired = await bench.stripe.v1.checkout.sessions.expire_async(session.id)
    assert (expired.status, expired.url) == ("expired", None)
    intent = await bench.stripe.v1.payment_intents.retrieve_async(str(expired.payment_intent))
    assert (intent.status, intent.cancellation_reason) == ("canceled", "expired")
    assert (await bench.events())[-2:] == ["payment_intent.canceled", "checkout.session.expired"]
    with pytest.raises(stripe.InvalidRequestError, match="has a status of `expired`"):
        await bench.stripe.v1.checkout.sessions.expire_async(session.id)
    assert await confirm(bench, session, "pm_card_visa") == 400


async def test_a_session_expires_by_itself(bench: Bench) -> None:
    session = await open_session(bench, expires_at=int(time.time()) + 1801)
    state = bench.app.sandbox.state
    (key,) = [key for key in state.rows(JOB) if session.id in key]
    with bench.app.sandbox.work() as work:
        work.state.change(JOB, key, due=time.time())
    for _ in range(1000):
        if not state.rows(JOB):
            break
        await asyncio.sleep(0.001)
    expired = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert expired.status == "expired"


async def test_the_intent_of_a_session_is_not_confirmed_directly(bench: Bench) -> None:
    session = await open_session(bench)
    await confirm(bench, session, "pm_card_chargeDeclined")
    declined = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    intent = str(declined.payment_intent)
    with pytest.raises(stripe.InvalidRequestError, match="Checkout Session"):
        await bench.stripe.v1.payment_intents.confirm_async(intent)
    with pytest.raises(stripe.InvalidRequestError, match="Checkout Session"):
        await bench.stripe.v1.payment_intents.cancel_async(intent)


async def test_sessions_are_found_by_what_they_belong_to(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "c@example.com"})
    mine = await open_session(bench, customer=customer.id)
    await open_session(bench)
    await confirm(bench, mine, "pm_card_visa")
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(mine.id)
    sessions = bench.stripe.v1.checkout.sessions
    for found in (
        await sessions.list_async({"customer": customer.id}),
        await sessions.list_async({"payment_intent": str(paid.payment_intent)}),
        await sessions.list_async({"status": "complete"}),
        await sessions.list_async({"customer_details": {"email": "c@example.com"}}),
    ):
        assert [session.id for session in found.data] == [mine.id]


async def test_metadata_of_a_session_is_updated(bench: Bench) -> None:
    session = await open_session(bench, metadata={"a": "1"})
    updated = await bench.stripe.v1.checkout.sessions.update_async(
        session.id, {"metadata": {"b": "2"}}
    )
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"success_url": None}, "success_url"),
        ({"success_url": "shop.test"}, "success_url"),
        ({"line_items": None}, "line_items"),
        ({"mode": None}, "mode"),
        ({"expires_at": 1}, "expires_at"),
        ({"expires_at": 99_999_999_999}, "expires_at"),
        ({"customer": "cus_none"}, "customer"),
        ({"customer": "cus_1", "customer_email": "a@example.com"}, "customer_email"),
        ({"client_reference_id": "x" * 201}, "client_reference_id"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{**TEA, "quantity": 0}]}, "line_items[0][quantity]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        (
            {"line_items": [{**TEA, "price_data": {**TEA["price_data"], "currency": "usx"}}]},  # type: ignore[dict-item]  # a hash
            "line_items[0][price_data][currency]",
        ),
    ],
)
async def test_a_session_that_makes_no_sense_is_refused(
    bench: Bench, params: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(bench, **params)
    assert refused.value.param == param
    assert (await bench.events()) == []


async def test_one_session_has_one_currency(bench: Bench) -> None:
    euro = {**TEA, "price_data": {**TEA["price_data"], "currency": "eur"}}  # type: ignore[dict-item]  # a hash
    with pytest.raises(stripe.InvalidRequestError, match="same currency"):
        await open_session(bench, line_items=[TEA, euro])


async def test_a_session_below_the_minimum_is_refused(bench: Bench) -> None:
    cent = {**TEA, "price_data": {**TEA["price_data"], "unit_amount": 10}}  # type: ignore[dict-item]  # a hash
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(bench, line_items=[cent])
    assert refused.value.code == "amount_too_small"


@pytest.mark.parametrize(
    "params",
    [
        {"ui_mode": "elements"},
        {"after_expiration": {"recovery": {"enabled": True}}},
        {"automatic_tax": {"enabled": True, "liability": {"type": "self"}}},
    ],
)
async def test_what_is_not_simulated_names_itself(bench: Bench, params: dict[str, object]) -> None:
    with pytest.raises(stripe.APIError) as refused:
        await open_session(bench, **params)
    assert refused.value.http_status == 501
    assert refused.value.error is not None
    assert refused.value.error.code == "not_implemented"
