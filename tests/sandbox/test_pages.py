"""The hosted pages by their forms alone: success, decline, 3DS, cancel, expired, complete."""

import re

import httpx2
import pytest
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.testing import SECRET, WEBHOOK, Bench


async def open_session(bench: Bench, **params: object) -> stripe.checkout.Session:
    tea = {"currency": "usd", "unit_amount": 5_000, "product_data": {"name": "Tea <& cake>"}}
    return await bench.stripe.v1.checkout.sessions.create_async(
        {  # type: ignore[arg-type]  # by name
            "mode": "payment",
            "success_url": "http://shop.test/success?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.test/cancel?a=1&b=2",
            "line_items": [{"price_data": tea, "quantity": 2}],
            **params,
        }
    )


async def submit(bench: Bench, session: stripe.checkout.Session, number: str) -> httpx2.Response:
    form = {
        "email": "b@example.com",
        "number": number,
        "expiry": "01/40",
        "cvc": "987",
        "name": "B Bee",
    }
    return await bench.http.post(f"/c/pay/{session.id}", data=form)


async def state(bench: Bench, session: stripe.checkout.Session) -> tuple[str | None, str]:
    now = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    return now.status, now.payment_status


def field(page: str, name: str) -> str:
    found = re.search(rf'<input [^>]*name="{name}"[^>]*>', page)
    assert found
    return found.group()


async def test_the_page_shows_the_order_and_the_form(bench: Bench) -> None:
    session = await open_session(bench)
    response = await bench.http.get(str(session.url), auth=None)
    page = response.text
    for text in (
        "Offline sandbox",
        "Tea &lt;&amp; cake&gt;",
        "2 \N{MULTIPLICATION SIGN} $50.00",
        "$100.00",
        "Pay $100.00",
        'href="http://shop.test/cancel?a=1&amp;b=2"',
        'name="viewport"',
    ):
        assert text in page
    for label, name, complete in (
        ("Email", "email", "email"),
        ("Card number", "number", "cc-number"),
        ("Expiry", "expiry", "cc-exp"),
        ("CVC", "cvc", "cc-csc"),
        ("Name on card", "name", "cc-name"),
    ):
        assert f'<label for="{name}">{label}</label>' in page
        assert f'autocomplete="{complete}"' in field(page, name)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "style=" not in page


async def test_the_page_needs_nothing_from_elsewhere(bench: Bench) -> None:
    session = await open_session(bench)
    page = (await bench.http.get(str(session.url))).text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    local = [source for source in sources if source.startswith("/_sandbox/static/")]
    assert set(sources) - set(local) == {"data:,", "http://shop.test/cancel?a=1&amp;b=2"}
    for source in local:
        assert (await bench.http.get(source)).status_code == 200


async def test_a_payment_leads_back_to_the_shop(bench: Bench) -> None:
    session = await open_session(bench)
    response = await submit(bench, session, "4242 4242 4242 4242")
    assert response.status_code == 303
    assert response.headers["location"] == f"http://shop.test/success?session_id={session.id}"
    assert await state(bench, session) == ("complete", "paid")
    assert "checkout.session.completed" in bench.shop.types
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.payment_method"]}
    )
    assert paid.customer_details is not None
    assert (paid.customer_details.email, paid.customer_details.name) == ("b@example.com", "B Bee")
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert isinstance(paid.payment_intent.payment_method, stripe.PaymentMethod)
    assert paid.payment_intent.payment_method.billing_details.name == "B Bee"


async def test_a_form_left_as_it_is_pays(bench: Bench) -> None:
    session = await open_session(bench)
    page = (await bench.http.get(str(session.url))).text
    form = {
        name: re.sub(r'.*value="([^"]*)".*', r"\1", field(page, name))
        for name in ("email", "number", "expiry", "cvc", "name")
    }
    assert (await bench.http.post(f"/c/pay/{session.id}", data=form)).status_code == 303


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000000000009995", "Your card has insufficient funds."),
        ("4242424242424241", "Your card number is incorrect."),
        ("", "No such PaymentMethod"),
    ],
)
async def test_a_decline_is_shown_and_the_session_stays_payable(
    bench: Bench, number: str, message: str
) -> None:
    session = await open_session(bench)
    page = (await submit(bench, session, number)).text
    alert = re.search(r'<p class="alert" role="alert"[^>]*>([^<]*)</p>', page)
    assert alert
    assert alert.group(1).startswith(message)
    assert "autofocus" in alert.group()
    assert f'value="{number}"' in field(page, "number")
    assert 'aria-describedby="problem"' in field(page, "number")
    assert 'value="B Bee"' in field(page, "name")
    assert 'value=""' in field(page, "cvc")
    assert await state(bench, session) == ("open", "unpaid")
    assert (await submit(bench, session, "4242424242424242")).status_code == 303


async def test_a_challenge_is_completed(bench: Bench) -> None:
    session = await open_session(bench)
    response = await submit(bench, session, "4000002760003184")
    step = response.headers["location"]
    assert (response.status_code, step) == (303, f"/c/pay/{session.id}/authenticate")
    page = (await bench.http.get(step)).text
    assert "Complete authentication" in page
    assert "Fail authentication" in page
    assert await state(bench, session) == ("open", "unpaid")
    done = await bench.http.post(step, data={"outcome": "complete"})
    assert done.headers["location"].startswith("http://shop.test/success")
    assert await state(bench, session) == ("complete", "paid")
    assert (await bench.http.get(step)).status_code == 303


async def test_a_failed_challenge_leads_back_to_the_form(bench: Bench) -> None:
    session = await open_session(bench)
    step = (await submit(bench, session, "4000002760003184")).headers["location"]
    page = (await bench.http.post(step, data={"outcome": "fail"})).text
    assert "We are unable to authenticate your payment method." in page
    assert 'name="number"' in page
    assert await state(bench, session) == ("open", "unpaid")


async def test_a_debit_is_taken_where_its_currency_has_one(bench: Bench) -> None:
    session = await open_session(bench)
    assert "000123456789" in (await bench.http.get(str(session.url))).text
    assert (await submit(bench, session, "0001 2345 6789")).status_code == 303
    assert await state(bench, session) == ("complete", "unpaid")


async def test_expired_and_complete_are_said_plainly(bench: Bench) -> None:
    paid, expired = await open_session(bench), await open_session(bench)
    await submit(bench, paid, "4242424242424242")
    await bench.stripe.v1.checkout.sessions.expire_async(expired.id)
    complete_page = (await bench.http.get(f"/c/pay/{paid.id}")).text
    assert "This order is complete" in complete_page
    assert f"session_id={paid.id}" in complete_page
    expired_page = (await bench.http.get(f"/c/pay/{expired.id}")).text
    assert "This checkout has expired" in expired_page
    assert "http://shop.test/cancel" in expired_page
    again = await submit(bench, paid, "4242424242424242")
    assert (again.status_code, again.headers["location"]) == (303, f"/c/pay/{paid.id}")
    assert len((await bench.stripe.v1.charges.list_async()).data) == 1
    for path in ("", "/authenticate"):
        assert (await bench.http.get(f"/c/pay/cs_none{path}")).status_code == 404
        assert (await bench.http.post(f"/c/pay/cs_none{path}")).status_code == 404


async def test_a_known_customers_address_is_not_editable(bench: Bench) -> None:
    session = await open_session(bench, customer_email="fixed@example.com")
    page = (await bench.http.get(str(session.url))).text
    assert 'value="fixed@example.com" readonly' in field(page, "email")
    await submit(bench, session, "4242424242424242")
    paid = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert paid.customer_details is not None
    assert paid.customer_details.email == "fixed@example.com"


async def test_a_free_order_asks_for_no_card(bench: Bench) -> None:
    free = {"currency": "jpy", "unit_amount": 0, "product_data": {"name": "Gift"}}
    session = await open_session(bench, line_items=[{"price_data": free, "quantity": 1}])
    page = (await bench.http.get(str(session.url))).text
    assert "Complete order" in page
    assert "¥0" in page
    assert 'name="number"' not in page
    form = {"email": "b@example.com"}
    assert (await bench.http.post(f"/c/pay/{session.id}", data=form)).status_code == 303
    assert await state(bench, session) == ("complete", "no_payment_required")


@pytest.mark.parametrize("answers", [[500] * 20, []])
async def test_the_way_back_does_not_depend_on_the_webhook(answers: list[int]) -> None:
    config = Config(
        base_url="http://sandbox.test",
        webhook_url=WEBHOOK,
        webhook_secret=SECRET,
        retry_delays=(60,),
        redirect_wait=5,
    )
    async with Bench.open(config) as bench:
        bench.shop.answers.extend(answers)
        session = await open_session(bench)
        assert (await submit(bench, session, "4242424242424242")).status_code == 303
        seen = {delivery.event["type"] for delivery in bench.shop.received}
        assert "checkout.session.completed" in seen


async def test_the_page_waits_no_longer_than_it_may() -> None:
    config = Config(
        base_url="http://sandbox.test", webhook_url=WEBHOOK, delivery_slots=0, redirect_wait=0.01
    )
    async with Bench.open(config) as bench:
        session = await open_session(bench)
        assert (await submit(bench, session, "4242424242424242")).status_code == 303
        assert bench.shop.received == []


async def test_a_charge_has_a_receipt(bench: Bench) -> None:
    session = await open_session(bench, payment_intent_data={"description": "Booking <7>"})
    await submit(bench, session, "4242424242424242")
    charge = (await bench.stripe.v1.charges.list_async()).data[0]
    page = (await bench.http.get(str(charge.receipt_url))).text
    assert "Booking &lt;7&gt;: $100.00 paid" in page
    assert (await bench.http.get("/receipts/ch_none")).status_code == 404


async def test_the_challenge_of_a_session_leads_to_its_page(bench: Bench) -> None:
    session = await open_session(bench)
    await submit(bench, session, "4000002760003184")
    now = await bench.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent"]}
    )
    assert isinstance(now.payment_intent, stripe.PaymentIntent)
    secret = str(now.payment_intent.client_secret)
    url = f"/3ds/{now.payment_intent.id}"
    shown = await bench.http.get(url, params={"client_secret": secret})
    assert shown.headers["location"] == f"/c/pay/{session.id}/authenticate"
    form = {"client_secret": secret, "outcome": "complete"}
    await bench.http.post(url, data=form)
    assert await state(bench, session) == ("open", "unpaid")
    await bench.http.post(f"/c/pay/{session.id}/authenticate", data={"outcome": "complete"})
    late = await bench.http.post(f"/c/pay/{session.id}/authenticate", data={"outcome": "fail"})
    assert late.headers["location"] == f"/c/pay/{session.id}"
    assert await state(bench, session) == ("complete", "paid")
