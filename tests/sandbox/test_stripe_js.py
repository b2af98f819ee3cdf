"""What a page may do with a publishable key and a client_secret, and what it is served."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import stripe

from stripe_sandbox.testing import Bench

CARD = {"type": "card", "card[number]": "4242424242424242", "card[cvc]": "123"}
CARD |= {"card[exp_month]": "12", "card[exp_year]": "2034"}
SHOP = {"Origin": "http://shop.test"}


@pytest_asyncio.fixture
async def page(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    """A page of the shop: it has the publishable key, and another origin."""
    transport = httpx2.ASGITransport(bench.app)
    headers = {**SHOP, "Authorization": "Bearer pk_test_1"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://sandbox.test", headers=headers
    ) as client:
        yield client


async def intent_of(bench: Bench, **params: Any) -> stripe.PaymentIntent:
    customer = await bench.stripe.v1.customers.create_async({"email": "jenny@example.com"})
    wanted: dict[str, Any] = {
        "amount": 2_000,
        "currency": "usd",
        "customer": customer.id,
        "metadata": {"secret": "of the shop"},
        **params,
    }
    return await bench.stripe.v1.payment_intents.create_async(wanted)  # type: ignore[arg-type]  # by name


async def preflight(page: httpx2.AsyncClient, verb: str, path: str) -> httpx2.Response:
    """What a browser asks by itself, without the key."""
    asked = {
        "Access-Control-Request-Method": verb,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    request = page.build_request("OPTIONS", path, headers=asked)
    del request.headers["authorization"]
    return await page.send(request)


def error(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["message"]


async def test_a_page_sees_of_an_intent_what_it_may_know(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    intent = await intent_of(bench)
    url = f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}"
    shown = (await page.get(url)).json()
    assert (shown["amount"], shown["currency"]) == (2_000, "usd")
    assert shown["status"] == "requires_payment_method"
    assert shown["payment_method_types"]
    assert shown.keys().isdisjoint({"customer", "metadata", "latest_charge", "amount_received"})


async def test_a_page_pays_by_the_secret(bench: Bench, page: httpx2.AsyncClient) -> None:
    intent = await intent_of(bench)
    method = (await page.post("/v1/payment_methods", data=CARD)).json()
    assert (method["object"], method["card"]["last4"]) == ("payment_method", "4242")
    assert "fingerprint" not in method["card"]
    form = {"client_secret": intent.client_secret, "payment_method": method["id"]}
    paid = (await page.post(f"/v1/payment_intents/{intent.id}/confirm", data=form)).json()
    assert (paid["status"], paid["payment_method"]) == ("succeeded", method["id"])
    assert "metadata" not in paid
    now = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert (now.status, now.amount_received) == ("succeeded", 2_000)


async def test_a_decline_says_why_and_hides_what_the_page_may_not_know(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    intent = await intent_of(bench)
    card = {**CARD, "card[number]": "4000000000000002"}
    method = (await page.post("/v1/payment_methods", data=card)).json()
    form = {"client_secret": intent.client_secret, "payment_method": method["id"]}
    answer = await page.post(f"/v1/payment_intents/{intent.id}/confirm", data=form)
    assert answer.status_code == 402
    problem = answer.json()["error"]
    assert (problem["code"], problem["decline_code"]) == ("card_declined", "generic_decline")
    assert problem["payment_intent"]["last_payment_error"]["payment_method"]["card"]
    assert "of the shop" not in answer.text
    assert str(intent.customer) not in answer.text


async def test_an_expanded_object_that_is_not_the_pages_business_stays_an_id(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    intent = await intent_of(
        bench,
        payment_method="pm_card_visa",
        setup_future_usage="on_session",
        confirm=True,
        return_url="http://shop.test/back",
    )
    query = f"client_secret={intent.client_secret}&expand[]=payment_method.customer"
    shown = await page.get(f"/v1/payment_intents/{intent.id}?{query}")
    assert shown.json()["payment_method"]["card"]["brand"] == "visa"
    assert "jenny@example.com" not in shown.text


async def test_without_the_right_secret_nothing_is_shown_or_done(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    intent, other = await intent_of(bench), await intent_of(bench)
    url = f"/v1/payment_intents/{intent.id}"
    status, text = error(await page.get(url))
    assert (status, text[:47]) == (401, "This API call cannot be made with a publishable")
    secret, pay = {"client_secret": other.client_secret}, {"payment_method": "pm_card_visa"}
    refused = await page.post(f"{url}/confirm", data={**secret, **pay})
    status, text = error(refused)
    assert (status, text[:43]) == (400, "The client_secret provided does not match t")
    assert refused.json()["error"]["code"] == "payment_intent_invalid_parameter"
    assert (await page.post(f"{url}/confirm", data=pay)).status_code == 401
    gone = await page.get(f"/v1/payment_intents/pi_1?client_secret={intent.client_secret}")
    assert error(gone) == (404, "No such payment_intent: 'pi_1'")
    now = await bench.stripe.v1.payment_intents.retrieve_async(intent.id)
    assert now.status == "requires_payment_method"


@pytest.mark.parametrize("name", ["metadata[a]", "off_session", "capture_method"])
async def test_a_page_cannot_say_what_only_a_server_may(
    bench: Bench, page: httpx2.AsyncClient, name: str
) -> None:
    intent = await intent_of(bench)
    form = {"client_secret": intent.client_secret, "payment_method": "pm_card_visa", name: "true"}
    status, text = error(await page.post(f"/v1/payment_intents/{intent.id}/confirm", data=form))
    assert (status, text) == (
        400,
        f"A publishable API key cannot be used with the parameter {name.partition('[')[0]}.",
    )


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/customers"),
        ("GET", "/v1/payment_intents"),
        ("POST", "/v1/payment_intents"),
        ("POST", "/v1/refunds"),
        ("POST", "/v1/payment_intents/pi_1"),
        ("POST", "/v1/payment_intents/pi_1/cancel"),
    ],
)
async def test_the_rest_of_the_api_wants_a_secret_key(
    page: httpx2.AsyncClient, verb: str, path: str
) -> None:
    assert (await page.request(verb, path)).status_code == 401
    answer = await preflight(page, verb, path)
    assert "access-control-allow-origin" not in answer.headers


async def test_live_keys_are_refused(page: httpx2.AsyncClient) -> None:
    live = {"Authorization": "Bearer pk_live_1"}
    status, text = error(await page.post("/v1/payment_methods", data=CARD, headers=live))
    assert (status, text[:24]) == (401, "This is an offline sandb")


async def test_pages_of_any_origin_may_ask_with_a_publishable_key_alone(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    answer = await preflight(page, "POST", "/v1/payment_intents/pi_1/confirm")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    for url in ("/v1/payment_intents/pi_1?client_secret=x", "/v1/customers"):
        assert (await page.get(url)).headers["access-control-allow-origin"] == "*"
    by_server = await bench.http.get("/v1/customers", headers=SHOP)
    assert "access-control-allow-origin" not in by_server.headers


async def test_a_setup_intent_asks_for_authentication_within_the_page(
    bench: Bench, page: httpx2.AsyncClient
) -> None:
    intent = await bench.stripe.v1.setup_intents.create_async({})
    form = {
        "client_secret": intent.client_secret,
        "payment_method": "pm_card_authenticationRequired",
        "return_url": "http://shop.test/back",
        "use_stripe_sdk": "true",
    }
    asked = (await page.post(f"/v1/setup_intents/{intent.id}/confirm", data=form)).json()
    assert asked["next_action"]["type"] == "use_stripe_sdk"
    url = asked["next_action"]["use_stripe_sdk"]["stripe_js"]
    challenge = await page.get(url)
    assert "frame-ancestors" not in challenge.headers["content-security-policy"]
    answer = {"client_secret": intent.client_secret, "outcome": "complete"}
    assert (await page.post(url, data=answer, headers={"origin": "null"})).status_code == 200
    query = f"?client_secret={intent.client_secret}"
    shown = (await page.get(f"/v1/setup_intents/{intent.id}{query}")).json()
    assert shown["status"] == "succeeded"
    assert "metadata" not in shown


@pytest.mark.parametrize("path", ["/v3", "/v3/", "/clover/stripe.js", "/endive/stripe.js"])
async def test_the_script_is_where_stripes_is(page: httpx2.AsyncClient, path: str) -> None:
    answer = await page.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "for tests only" in answer.text


async def test_the_frame_needs_nothing_from_elsewhere(page: httpx2.AsyncClient) -> None:
    frame = await page.get("/v3/element")
    policy = frame.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors" not in policy
    assert "no real money" in frame.text
    sources = set(re.findall(r'(?:src|href)="([^"]+)"', frame.text)) - {"data:,"}
    assert sources
    for source in sources:
        assert source.startswith("/_sandbox/static/")
        assert (await page.get(source)).status_code == 200
