"""Versions: the account's default one holds where none is named, and knows the older words."""

import json

import pytest
import stripe

from stripe_sandbox.contract.versions import ACCOUNT_DEFAULT
from stripe_sandbox.testing import Bench

PINNED = {"Stripe-Version": stripe.api_version}


async def post(bench: Bench, path: str, **form: str) -> dict[str, object]:
    """In the words of the account's default version."""
    response = await bench.http.post(path, data=form)
    body: dict[str, object] = response.json()
    assert response.status_code == 200, body
    return body


async def test_every_answer_says_which_version_holds(bench: Bench) -> None:
    unnamed = await bench.http.get("/v1/customers")
    pinned = await bench.http.get("/v1/customers", headers=PINNED)
    assert unnamed.headers["stripe-version"] == ACCOUNT_DEFAULT
    assert pinned.headers["stripe-version"] == stripe.api_version


async def test_an_endpoint_without_a_version_has_the_accounts(bench: Bench) -> None:
    for form in ({}, {"api_version": stripe.api_version}):
        await post(
            bench,
            "/v1/webhook_endpoints",
            url=f"http://shop.test/{len(form)}",
            **{"enabled_events[]": "*", **form},
        )
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    told = {d.url: json.loads(d.payload)["api_version"] for d in bench.shop.received}
    assert told == {
        "http://shop.test/webhook": stripe.api_version,
        "http://shop.test/0": ACCOUNT_DEFAULT,
        "http://shop.test/1": stripe.api_version,
    }


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/payment_intents", {"amount": "100", "currency": "usd"}),
        ("/v1/setup_intents", {}),
    ],
)
async def test_payment_method_types_are_an_older_word(
    bench: Bench, path: str, form: dict[str, str]
) -> None:
    older = {**form, "payment_method_types[]": "card"}
    assert (await post(bench, path, **older))["payment_method_types"] == ["card"]
    refused = await bench.http.post(path, data=older, headers=PINNED)
    assert refused.json()["error"]["param"] == "payment_method_types"


async def test_a_promotion_code_names_its_coupon_in_either_way(bench: Bench) -> None:
    coupon = await post(bench, "/v1/coupons", percent_off="20")
    code = await post(bench, "/v1/promotion_codes", coupon=str(coupon["id"]))
    assert code["promotion"] == {"type": "coupon", "coupon": coupon["id"]}
    form = {"coupon": str(coupon["id"])}
    refused = await bench.http.post("/v1/promotion_codes", data=form, headers=PINNED)
    assert refused.status_code == 400
    listed = await bench.http.get("/v1/promotion_codes", params=form)
    assert [found["id"] for found in listed.json()["data"]] == [code["id"]]


async def test_an_embedded_session_had_another_name(bench: Bench) -> None:
    form = {
        "mode": "payment",
        "ui_mode": "embedded",
        "return_url": "http://shop.test",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "1000",
        "line_items[0][price_data][product_data][name]": "Tea",
        "line_items[0][quantity]": "1",
    }
    session = await post(bench, "/v1/checkout/sessions", **form)
    assert session["ui_mode"] == "embedded_page"


async def test_a_source_becomes_the_customers_default_card(bench: Bench) -> None:
    customer = await post(bench, "/v1/customers", source="tok_visa")
    methods = await bench.stripe.v1.customers.payment_methods.list_async(str(customer["id"]))
    (card,) = methods.data
    kept = await bench.stripe.v1.customers.retrieve_async(str(customer["id"]))
    assert kept.invoice_settings is not None
    assert kept.invoice_settings.default_payment_method == card.id
    another = await post(bench, f"/v1/customers/{kept.id}", source="tok_mastercard")
    assert another["invoice_settings"] != customer["invoice_settings"]


async def test_a_test_card_is_attached_and_the_default_at_once(bench: Bench) -> None:
    """As the official CLI makes its customers."""
    customer = await post(
        bench,
        "/v1/customers",
        payment_method="pm_card_visa",
        **{"invoice_settings[default_payment_method]": "pm_card_visa"},
    )
    (card,) = (await bench.stripe.v1.customers.payment_methods.list_async(str(customer["id"]))).data
    kept = await bench.stripe.v1.customers.retrieve_async(str(customer["id"]))
    assert kept.invoice_settings is not None
    assert kept.invoice_settings.default_payment_method == card.id
    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        await bench.stripe.v1.customers.create_async(
            {"invoice_settings": {"default_payment_method": card.id}}
        )


async def test_a_subscription_takes_a_coupon_and_an_anchor_in_older_words(bench: Bench) -> None:
    coupon = await post(bench, "/v1/coupons", percent_off="20", duration="forever")
    customer = await post(bench, "/v1/customers", source="tok_visa")
    product = await post(bench, "/v1/products", name="Club")
    price = await post(
        bench,
        "/v1/prices",
        product=str(product["id"]),
        unit_amount="1500",
        currency="usd",
        **{"recurring[interval]": "month"},
    )
    subscription = await post(
        bench,
        "/v1/subscriptions",
        customer=str(customer["id"]),
        coupon=str(coupon["id"]),
        **{"items[0][price]": str(price["id"])},
    )
    assert subscription["discounts"]
    path = f"/v1/subscriptions/{subscription['id']}"
    moved = await post(bench, path, billing_cycle_anchor="now", coupon="")
    assert (moved["status"], moved["discounts"]) == ("active", [])


async def test_a_debit_of_the_cli_succeeds_later(bench: Bench) -> None:
    product = await post(bench, "/v1/products", name="Tea")
    price = await post(
        bench, "/v1/prices", product=str(product["id"]), unit_amount="1500", currency="eur"
    )
    session = await post(
        bench,
        "/v1/checkout/sessions",
        success_url="http://shop.test",
        mode="payment",
        **{
            "payment_method_types[]": "sepa_debit",
            "line_items[0][price]": str(price["id"]),
            "line_items[0][quantity]": "2",
            "payment_intent_data[setup_future_usage]": "off_session",
        },
    )
    assert session["payment_method_types"] == ["sepa_debit"]
    method = await post(
        bench,
        "/v1/payment_methods",
        type="sepa_debit",
        **{
            "sepa_debit[iban]": "AT611904300234573201",
            "billing_details[email]": "stripe@example.com",
            "billing_details[address][country]": "GB",
        },
    )
    page = f"/v1/payment_pages/{session['id']}/confirm"
    await post(bench, page, payment_method=str(method["id"]), expected_amount="3000")
    await bench.settle()
    assert (await bench.events())[-1] == "checkout.session.async_payment_succeeded"
    kept = await bench.stripe.v1.payment_methods.retrieve_async(str(method["id"]))
    assert kept.customer
