"""Checkout beyond one payment: subscriptions, setup, discounts, taxes, shipping, invoices."""

from decimal import Decimal

import pytest
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.testing import Bench

SUCCESS = "http://shop.test/success?session_id={CHECKOUT_SESSION_ID}"
TEA = {
    "price_data": {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "Tea"}},
    "quantity": 2,
}
CLUB = {
    "price_data": {
        "currency": "usd",
        "unit_amount": 1500,
        "product_data": {"name": "Club"},
        "recurring": {"interval": "month"},
    },
    "quantity": 1,
}


async def open_session(bench: Bench, **params: object) -> stripe.checkout.Session:
    return await bench.stripe.v1.checkout.sessions.create_async(
        {  # type: ignore[arg-type]  # by name
            "mode": "payment",
            "success_url": SUCCESS,
            **({} if params.get("mode") == "setup" else {"line_items": [TEA]}),
            **params,
        }
    )


async def complete(
    bench: Bench, session: stripe.checkout.Session, method: str = "pm_card_visa"
) -> stripe.checkout.Session:
    form = {"payment_method": method, "expected_amount": str(session.amount_total or 0)}
    response = await bench.http.post(f"/v1/payment_pages/{session.id}/confirm", data=form)
    assert response.status_code == 200, response.text
    return await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)


async def test_a_subscription_begins_when_its_session_is_paid(bench: Bench) -> None:
    session = await open_session(
        bench,
        mode="subscription",
        customer_email="a@example.com",
        line_items=[CLUB, TEA],
        subscription_data={"metadata": {"plan": "club"}, "description": "The club"},
    )
    assert (session.amount_total, session.subscription, session.customer) == (3500, None, None)
    before = await bench.events()
    done = await complete(bench, session)
    assert (done.status, done.payment_status, done.payment_intent) == ("complete", "paid", None)
    subscription = await bench.stripe.v1.subscriptions.retrieve_async(
        str(done.subscription), {"expand": ["latest_invoice"]}
    )
    assert (subscription.status, subscription.description) == ("active", "The club")
    assert subscription.metadata.to_dict() == {"plan": "club"}
    assert subscription.default_payment_method
    assert subscription.customer == done.customer
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.id, invoice.status, invoice.total) == (done.invoice, "paid", 3500)
    happened = (await bench.events())[len(before) :]
    assert happened[0] == "customer.created"
    wanted = [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice_payment.paid",
        "invoice.paid",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]
    assert [type for type in happened if type in wanted] == wanted
    assert happened.count("payment_intent.created") == 1


@pytest.mark.parametrize(("count", "said"), [(1, "every month"), (3, "every 3 months")])
async def test_the_page_says_how_often_is_paid(bench: Bench, count: int, said: str) -> None:
    price = {
        "currency": "usd",
        "unit_amount": 1500,
        "product_data": {"name": "Club"},
        "recurring": {"interval": "month", "interval_count": count},
    }
    session = await open_session(
        bench, mode="subscription", line_items=[{"price_data": price, "quantity": 1}]
    )
    page = await bench.http.get(str(session.url))
    assert f"$15.00 {said}<" in page.text


async def test_a_declined_card_begins_no_subscription(bench: Bench) -> None:
    session = await open_session(bench, mode="subscription", line_items=[CLUB])
    form = {"payment_method": "pm_card_chargeDeclined", "expected_amount": "1500"}
    response = await bench.http.post(f"/v1/payment_pages/{session.id}/confirm", data=form)
    assert response.status_code == 402
    assert (await bench.stripe.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await complete(bench, session)).subscription


async def test_a_trial_keeps_the_card_and_takes_nothing(bench: Bench) -> None:
    session = await open_session(
        bench,
        mode="subscription",
        line_items=[CLUB],
        subscription_data={"trial_period_days": 7},
    )
    assert (session.amount_total, session.payment_status) == (0, "no_payment_required")
    done = await complete(bench, session)
    assert done.payment_status == "no_payment_required"
    subscription = await bench.stripe.v1.subscriptions.retrieve_async(str(done.subscription))
    assert (subscription.status, bool(subscription.default_payment_method)) == ("trialing", True)
    assert (await bench.events())[-1] == "checkout.session.completed"


async def test_a_trial_may_begin_without_a_card(bench: Bench) -> None:
    session = await open_session(
        bench,
        mode="subscription",
        line_items=[CLUB],
        payment_method_collection="if_required",
        subscription_data={"trial_period_days": 7},
    )
    done = await complete(bench, session, "")
    subscription = await bench.stripe.v1.subscriptions.retrieve_async(str(done.subscription))
    assert (subscription.status, subscription.default_payment_method) == ("trialing", None)


async def test_a_session_in_setup_mode_keeps_a_card(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    session = await open_session(
        bench,
        mode="setup",
        customer=customer.id,
        currency="usd",
        setup_intent_data={"metadata": {"a": "1"}},
    )
    assert (session.amount_total, session.payment_status) == (None, "no_payment_required")
    assert session.setup_intent
    done = await complete(bench, session)
    intent = await bench.stripe.v1.setup_intents.retrieve_async(str(done.setup_intent))
    assert (intent.status, intent.customer) == ("succeeded", customer.id)
    assert intent.metadata is not None
    assert intent.metadata.to_dict() == {"a": "1"}
    methods = await bench.stripe.v1.customers.payment_methods.list_async(customer.id)
    assert [method.id for method in methods.data] == [intent.payment_method]
    assert (await bench.events())[-2:] == ["setup_intent.succeeded", "checkout.session.completed"]


async def test_an_expired_setup_cancels_its_intent(bench: Bench) -> None:
    session = await open_session(bench, mode="setup", currency="usd")
    await bench.stripe.v1.checkout.sessions.expire_async(session.id)
    intent = await bench.stripe.v1.setup_intents.retrieve_async(str(session.setup_intent))
    assert intent.status == "canceled"


async def test_a_discount_is_taken_off_and_counted_when_it_is_paid(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 25})
    session = await open_session(bench, discounts=[{"coupon": coupon.id}], expand=["line_items"])
    assert (session.amount_subtotal, session.amount_total) == (2000, 1500)
    assert session.total_details is not None
    assert session.total_details.amount_discount == 500
    assert session.line_items is not None
    assert session.line_items.data[0].amount_discount == 500
    assert [entry.coupon for entry in session.discounts or []] == [coupon.id]
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 0
    done = await complete(bench, session)
    intent = await bench.stripe.v1.payment_intents.retrieve_async(str(done.payment_intent))
    assert intent.amount_received == 1500
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1


async def test_a_session_for_nothing_needs_no_card(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 100})
    session = await open_session(bench, discounts=[{"coupon": coupon.id}])
    done = await complete(bench, session, "")
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


async def test_a_coupon_stays_with_the_subscription(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async(
        {"amount_off": 500, "currency": "usd", "duration": "forever"}
    )
    session = await open_session(
        bench, mode="subscription", line_items=[CLUB], discounts=[{"coupon": coupon.id}]
    )
    assert session.amount_total == 1000
    done = await complete(bench, session)
    subscription = await bench.stripe.v1.subscriptions.retrieve_async(
        str(done.subscription), {"expand": ["discounts", "latest_invoice"]}
    )
    (discount,) = subscription.discounts
    assert isinstance(discount, stripe.Discount)
    assert (discount.source.coupon, discount.subscription) == (coupon.id, subscription.id)
    assert isinstance(subscription.latest_invoice, stripe.Invoice)
    assert (subscription.latest_invoice.total, subscription.latest_invoice.status) == (1000, "paid")
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1


async def test_a_customer_types_a_promotion_code(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 10})
    await bench.stripe.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "TEA10"}
    )
    session = await open_session(bench, allow_promotion_codes=True)
    page = f"/c/pay/{session.id}"
    assert "promotion_code" in (await bench.http.get(page)).text
    wrong = await bench.http.post(f"{page}/promotion", data={"promotion_code": "no"})
    assert "This code is invalid" in wrong.text
    right = await bench.http.post(f"{page}/promotion", data={"promotion_code": "tea10"})
    assert (right.status_code, right.headers["location"]) == (303, page)
    assert "$18.00" in (await bench.http.get(page)).text
    cheaper = await bench.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert cheaper.amount_total == 1800
    assert [bool(entry.promotion_code) for entry in cheaper.discounts or []] == [True]


async def test_automatic_tax_is_added_to_every_line() -> None:
    config = Config(base_url="http://sandbox.test", settle_after=3600, tax_rate=Decimal("8.25"))
    async with Bench.open(config) as bench:
        session = await open_session(bench, automatic_tax={"enabled": True}, expand=["line_items"])
        assert (session.amount_subtotal, session.amount_total) == (2000, 2165)
        assert session.total_details is not None
        assert session.total_details.amount_tax == 165
        assert session.line_items is not None
        (tax,) = session.line_items.data[0].taxes or []
        assert (tax.amount, tax.rate.percentage) == (165, 8.25)
        club = await open_session(
            bench, mode="subscription", line_items=[CLUB], automatic_tax={"enabled": True}
        )
        done = await complete(bench, club)
        invoice = await bench.stripe.v1.invoices.retrieve_async(str(done.invoice))
        assert (invoice.total, invoice.amount_paid) == (1624, 1624)


async def test_shipping_is_added_to_the_total(bench: Bench) -> None:
    parcel = {"display_name": "Parcel", "fixed_amount": {"amount": 450, "currency": "usd"}}
    session = await open_session(bench, shipping_options=[{"shipping_rate_data": parcel}])
    assert session.amount_total == 2450
    assert session.total_details is not None
    assert session.total_details.amount_shipping == 450
    assert session.shipping_cost is not None
    assert (await complete(bench, session)).payment_status == "paid"


async def test_a_payment_leaves_an_invoice_when_it_is_asked_for(bench: Bench) -> None:
    session = await open_session(
        bench,
        customer_email="a@example.com",
        invoice_creation={"enabled": True, "invoice_data": {"description": "Thank you"}},
    )
    done = await complete(bench, session)
    invoice = await bench.stripe.v1.invoices.retrieve_async(
        str(done.invoice), {"expand": ["payments"]}
    )
    assert (invoice.status, invoice.total, invoice.description) == ("paid", 2000, "Thank you")
    assert invoice.payments is not None
    assert invoice.payments.data[0].payment.payment_intent == done.payment_intent
    happened = await bench.events()
    assert happened.index("invoice.paid") < happened.index("checkout.session.completed")


async def test_an_embedded_session_shows_its_secret_and_no_page(bench: Bench) -> None:
    session = await open_session(
        bench,
        success_url=None,
        ui_mode="embedded_page",
        return_url="http://shop.test/{CHECKOUT_SESSION_ID}",
    )
    assert session.url is None
    assert (session.client_secret or "").startswith(f"{session.id}_secret_")
    await complete(bench, session)
    page = await bench.http.get(f"/c/pay/{session.id}")
    assert f"http://shop.test/{session.id}" in page.text


async def test_the_page_saves_a_card_after_its_challenge(bench: Bench) -> None:
    session = await open_session(bench, mode="setup", currency="usd")
    page = f"/c/pay/{session.id}"
    assert "Save card" in (await bench.http.get(page)).text
    form = {"number": "4000 0027 6000 3184", "email": "a@example.com"}
    asked = await bench.http.post(page, data=form)
    assert asked.headers["location"] == f"{page}/authenticate"
    assert "authenticate your card" in (await bench.http.get(f"{page}/authenticate")).text
    done = await bench.http.post(f"{page}/authenticate", data={"outcome": "complete"})
    assert done.headers["location"] == f"http://shop.test/success?session_id={session.id}"


async def test_a_name_becomes_the_customers_when_that_is_asked_for(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "a@example.com"})
    session = await open_session(bench, customer=customer.id, customer_update={"name": "auto"})
    form = {"number": "4242 4242 4242 4242", "name": "Jenny Rosen"}
    await bench.http.post(f"/c/pay/{session.id}", data=form)
    assert (await bench.stripe.v1.customers.retrieve_async(customer.id)).name == "Jenny Rosen"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"mode": "subscription"}, "mode"),
        ({"line_items": [CLUB]}, "mode"),
        ({"mode": "setup"}, "currency"),
        ({"mode": "setup", "currency": "usd", "line_items": [TEA]}, "line_items"),
        ({"subscription_data": {"trial_period_days": 7}}, "subscription_data"),
        ({"mode": "setup", "payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ({"ui_mode": "embedded_page", "return_url": "http://shop.test"}, "success_url"),
        ({"return_url": "http://shop.test"}, "return_url"),
        ({"currency": "eur"}, "currency"),
        ({"allow_promotion_codes": True, "discounts": [{"coupon": "x"}]}, "discounts"),
        ({"discounts": [{"coupon": "x"}]}, "discounts[0][coupon]"),
        ({"discounts": [{"coupon": "x"}, {"coupon": "y"}]}, "discounts"),
        ({"customer_update": {"name": "auto"}}, "customer_update"),
    ],
)
async def test_a_session_that_contradicts_its_mode_is_refused(
    bench: Bench, params: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(bench, **params)
    assert refused.value.param == param
