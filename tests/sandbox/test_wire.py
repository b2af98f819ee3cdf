"""What stands on the wire: keys, headers, unknown routes, the shape of errors."""

import base64

import httpx2
import pytest
import stripe

from stripe_sandbox.contract.versions import ACCOUNT_DEFAULT
from stripe_sandbox.testing import Bench


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:".encode()).decode()


async def charges(bench: Bench, authorization: str | None) -> httpx2.Response:
    headers = {"Authorization": authorization} if authorization is not None else {}
    return await bench.http.get("/v1/charges", headers=headers, auth=None)


@pytest.mark.parametrize(
    "header", ["Bearer sk_test_1", "bearer rk_test_1", basic("sk_test_1"), basic("rk_test_1")]
)
async def test_every_secret_test_key_is_taken(bench: Bench, header: str) -> None:
    assert (await charges(bench, header)).status_code == 200


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "You did not provide an API key."),
        ("", "You did not provide an API key."),
        ("Digest x", "You did not provide an API key."),
        ("Basic %%%", "You did not provide an API key."),
        ("Bearer sk_live_1", "This is an offline sandbox: it refuses live keys."),
        ("Bearer pk_test_1", "This API call cannot be made with a publishable API key."),
        ("Bearer wrong", "Invalid API Key provided: wron*"),
    ],
)
async def test_any_other_key_is_refused(bench: Bench, header: str | None, message: str) -> None:
    response = await charges(bench, header)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (401, "invalid_request_error")
    assert error["message"].startswith(message)


async def test_an_answer_names_its_request_and_its_version(bench: Bench) -> None:
    response = await bench.http.get("/v1/charges")
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["stripe-version"] == ACCOUNT_DEFAULT
    assert response.headers["content-type"] == "application/json"


async def test_an_unknown_address_is_named(bench: Bench) -> None:
    response = await bench.http.get("/v1/x?y=1")
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith(
        "Unrecognized request URL (GET: /v1/x). Please see https://stripe.com/docs"
    )
    assert (await bench.http.put("/v1/charges")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/v1/payment_links", "GET /v1/payment_links"),
        ("POST", "/v1/customers/cus_1/sources", "POST /v1/customers/{customer}/sources"),
        ("DELETE", "/v1/accounts/acct_1", "DELETE /v1/accounts/{account}"),
    ],
)
async def test_a_route_that_is_not_simulated_names_itself(
    bench: Bench, method: str, path: str, route: str
) -> None:
    response = await bench.http.request(method, path, data={"source": "x"})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (
        501,
        "api_error",
        "not_implemented",
    )
    assert error["message"] == f"The offline sandbox does not simulate {route}."


async def test_a_parameter_that_would_be_passed_over_is_refused(bench: Bench) -> None:
    form = {"amount": "100", "currency": "usd", "application_fee_amount": "5"}
    response = await bench.http.post("/v1/payment_intents", data=form)
    assert response.status_code == 501
    assert "the parameter application_fee_amount" in response.json()["error"]["message"]


async def test_a_body_that_is_no_form_is_refused(bench: Bench) -> None:
    response = await bench.http.post("/v1/customers", json={"email": "a@example.com"})
    assert response.status_code == 400
    assert "form-encoded" in response.json()["error"]["message"]
    broken = await bench.http.post("/v1/customers", content="metadata=1&metadata[a]=2")
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "metadata[a]")


async def test_an_error_leaves_out_what_it_does_not_know(bench: Bench) -> None:
    response = await bench.http.get("/v1/refunds/re_none")
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "type": "invalid_request_error",
            "message": "No such refund: 're_none'",
            "code": "resource_missing",
            "param": "id",
            "doc_url": "https://stripe.com/docs/error-codes/resource-missing",
        }
    }


async def test_a_refused_request_changes_nothing(bench: Bench) -> None:
    form = {
        "amount": "1000",
        "currency": "usd",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "expand[]": "nothing",
    }
    assert (await bench.http.post("/v1/payment_intents", data=form)).status_code == 400
    assert (await bench.stripe.v1.payment_intents.list_async()).data == []
    assert (await bench.stripe.v1.charges.list_async()).data == []
    assert await bench.events() == []


async def test_the_front_says_what_this_is(bench: Bench) -> None:
    assert "Offline Stripe" in (await bench.http.get("/", auth=None)).text
    health = (await bench.http.get("/_sandbox/health", auth=None)).json()
    assert health["status"] == "ok"


async def test_a_bug_of_the_sandbox_is_a_500_that_changes_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    intent = await bench.stripe.v1.payment_intents.create_async({"amount": 100, "currency": "usd"})
    with bench.app.sandbox.work() as work:
        work.change(work.find("payment_intent", intent.id), metadata=None)
    path = f"/v1/payment_intents/{intent.id}/confirm"
    response = await bench.http.post(path, data={"payment_method": "pm_card_visa"})
    assert (response.status_code, response.json()["error"]["type"]) == (500, "api_error")
    assert "Traceback" in caplog.text
    assert (await bench.stripe.v1.payment_methods.list_async()).data == []


async def test_another_version_is_answered_and_noted(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    response = await bench.http.get("/v1/charges", headers={"Stripe-Version": "2024-06-20"})
    assert (response.status_code, response.headers["stripe-version"]) == (200, "2024-06-20")
    assert "asked for version 2024-06-20" in caplog.text


async def test_the_second_version_of_the_api_is_refused_in_words_that_the_sdk_reads(
    bench: Bench,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        await bench.stripe.v2.core.events.list_async()
