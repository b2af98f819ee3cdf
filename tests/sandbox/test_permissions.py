"""Restricted and revoked keys, and a clock that is wrong."""

import time
from email.utils import parsedate_to_datetime

import pytest
import stripe

from stripe_sandbox.testing import Bench

RESTRICTED = stripe.RequestOptions(api_key="rk_test_narrow")


async def restrict(bench: Bench, **rule: object) -> int:
    response = await bench.http.post("/_sandbox/keys", json={"key": "rk_test_narrow", **rule})
    return response.status_code


async def test_a_restricted_key_does_what_it_is_allowed_to(bench: Bench) -> None:
    allowed = ["customers:write", "charges:read", "checkout_sessions:read"]
    assert await restrict(bench, allow=allowed) == 201
    v1 = bench.stripe.v1
    customer = await v1.customers.create_async({}, RESTRICTED)
    await v1.customers.retrieve_async(customer.id, {}, RESTRICTED)
    await v1.charges.list_async({}, RESTRICTED)
    await v1.refunds.list_async({}, RESTRICTED)
    await v1.checkout.sessions.list_async({}, RESTRICTED)
    with pytest.raises(stripe.PermissionError) as refused:
        await v1.refunds.create_async({"charge": "ch_1"}, RESTRICTED)
    assert refused.value.http_status == 403
    assert refused.value.user_message == (
        "The provided key 'rk_test_***' does not have the required permissions for this endpoint"
        " on account 'acct_sandbox'. Having the 'rak_charge_write' permission would allow this"
        " request to continue."
    )
    assert refused.value.error is not None
    assert refused.value.error.type == "invalid_request_error"
    with pytest.raises(stripe.PermissionError, match="rak_webhook_read"):
        await v1.webhook_endpoints.list_async({}, RESTRICTED)
    await v1.webhook_endpoints.list_async()
    await bench.http.delete("/_sandbox/keys")
    await v1.webhook_endpoints.list_async({}, RESTRICTED)


async def test_a_revoked_key_is_unknown(bench: Bench) -> None:
    assert await restrict(bench, revoked=True) == 201
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided: rk_test_"):
        await bench.stripe.v1.customers.list_async({}, RESTRICTED)


@pytest.mark.parametrize("rule", [{"key": "rk_live_1"}, {"allow": ["customers"]}, {"allo": []}])
async def test_a_rule_that_makes_no_sense_is_refused(bench: Bench, rule: dict[str, object]) -> None:
    assert await restrict(bench, **rule) == 400


@pytest.mark.parametrize("skew", [0, -3_600])
async def test_an_answer_says_what_time_it_is_or_is_told_to(bench: Bench, skew: int) -> None:
    fault = {"path": "/v1/account", "clock_skew": skew}
    assert (await bench.http.post("/_sandbox/faults", json=fault)).status_code == 201
    answer = await bench.http.get("/v1/account")
    date = parsedate_to_datetime(answer.headers["date"])
    assert abs(date.timestamp() - time.time() - skew) < 60
    assert answer.json()["settings"]["dashboard"]["display_name"] == "Offline sandbox"
