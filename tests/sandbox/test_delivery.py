"""Delivery: attempts and how they end, resending, rolled secrets, the log of calls, reset."""

import asyncio

import httpx2
import pytest
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.engine.work import DELIVERY
from stripe_sandbox.testing import SECRET, WEBHOOK, Bench

OTHER = "http://other.test/hook"


async def add_endpoint(bench: Bench) -> stripe.WebhookEndpoint:
    endpoints = bench.stripe.v1.webhook_endpoints
    return await endpoints.create_async(
        {"url": OTHER, "enabled_events": ["customer.created", "product.created"]}
    )


async def last_event(bench: Bench) -> stripe.Event:
    return (await bench.stripe.v1.events.list_async({"limit": 1})).data[0]


async def resend(bench: Bench, event: str, **params: str) -> int:
    response = await bench.http.post(f"/v1/events/{event}/retry", data=params)
    await bench.deliver()
    return response.status_code


async def test_each_attempt_is_remembered_with_its_answer(bench: Bench) -> None:
    bench.shop.answers.extend([503, RuntimeError("broken"), 200])
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    attempts = list(bench.app.sandbox.courier.attempts)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert [attempt.outcome for attempt in attempts] == ["503", "RuntimeError('broken')", "200"]
    assert [attempt.accepted for attempt in attempts] == [False, False, True]
    assert {(attempt.type, attempt.url) for attempt in attempts} == {("customer.created", WEBHOOK)}


async def test_each_endpoint_counts_until_it_has_accepted(bench: Bench) -> None:
    await add_endpoint(bench)
    bench.shop.answers.extend([200, 500, 500, 500, 500])
    await bench.stripe.v1.customers.create_async()
    assert (await last_event(bench)).pending_webhooks == 2
    await bench.deliver()
    event = await last_event(bench)
    assert event.pending_webhooks == 1
    lost = await bench.stripe.v1.events.list_async({"delivery_success": False})
    assert [found.id for found in lost.data] == [event.id]
    await bench.stripe.v1.products.create_async({"name": "x"})
    await bench.deliver()
    assert (await last_event(bench)).pending_webhooks == 0


async def test_an_event_that_was_given_up_is_delivered_by_a_resend(bench: Bench) -> None:
    bench.shop.answers.extend([500] * 4)
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    event = await last_event(bench)
    bench.shop.answers.append(500)
    assert await resend(bench, event.id, for_stripecli="true") == 200
    assert len(bench.shop.received) == 5, "a resend is one attempt"
    assert (await last_event(bench)).pending_webhooks == 1
    assert await resend(bench, event.id, webhook_endpoint="we_configured") == 200
    assert bench.shop.types == ["customer.created"]
    assert bench.shop.received[-1].event["id"] == event.id
    assert (await last_event(bench)).pending_webhooks == 0
    await resend(bench, event.id)
    assert bench.shop.types == ["customer.created"] * 2
    assert (await last_event(bench)).pending_webhooks == 0


async def test_a_resend_leaves_the_retries_as_they_are() -> None:
    config = Config(webhook_url=WEBHOOK, webhook_secret=SECRET, retry_delays=(3600,))
    async with Bench.open(config) as bench:
        bench.shop.answers.append(500)
        await bench.stripe.v1.customers.create_async()
        event = await last_event(bench)
        await bench.app.sandbox.courier.answered(event.id, within=5)
        await bench.http.post(f"/v1/events/{event.id}/retry")
        await asyncio.wait(bench.app.sandbox.courier._under_way.values())
        assert (await last_event(bench)).pending_webhooks == 0
        (waiting,) = bench.app.sandbox.state.rows(DELIVERY).values()
        assert (waiting["event"], waiting["attempts"]) == (event.id, 1)


async def test_a_resend_needs_an_event_and_a_living_endpoint(bench: Bench) -> None:
    endpoint = await add_endpoint(bench)
    await bench.stripe.v1.customers.create_async()
    event = await last_event(bench)
    await bench.stripe.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    assert await resend(bench, "evt_none") == 404
    assert await resend(bench, event.id, webhook_endpoint="we_none") == 404
    assert await resend(bench, event.id, webhook_endpoint=endpoint.id) == 400


async def test_while_two_secrets_live_either_verifies(bench: Bench) -> None:
    path = "/_sandbox/webhook_endpoints/we_configured/roll"
    rolled = await bench.http.post(path, json={"expires_after": 60})
    assert rolled.status_code == 201
    new = rolled.json()["secret"]
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    delivery = bench.shop.received[-1]
    assert delivery.signature.count("v1=") == 2
    for secret in (SECRET, new):
        bench.stripe.construct_event(delivery.payload, delivery.signature, secret)
    newest = (await bench.http.post(path, json={"expires_after": 0})).json()["secret"]
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    delivery = bench.shop.received[-1]
    assert delivery.signature.count("v1=") == 2, "the first old secret has not expired yet"
    bench.stripe.construct_event(delivery.payload, delivery.signature, newest)
    assert (await bench.http.post(path, json={"expires_after": -1})).status_code == 400
    unknown = "/_sandbox/webhook_endpoints/we_none/roll"
    assert (await bench.http.post(unknown)).status_code == 404


async def test_an_account_has_sixteen_endpoints_at_most(bench: Bench) -> None:
    for _ in range(15):
        await add_endpoint(bench)
    form = {"url": OTHER, "enabled_events[]": "*"}
    refused = await bench.http.post("/v1/webhook_endpoints", data=form)
    assert refused.status_code == 400
    assert "maximum of 16" in refused.json()["error"]["message"]


async def test_the_last_calls_are_remembered_without_card_numbers(bench: Bench) -> None:
    form = {"type": "card", "card[number]": "4242424242424242", "card[cvc]": "987"}
    await bench.http.post("/v1/payment_methods", data=form, headers={"Idempotency-Key": "k1"})
    await bench.http.get("/v1/customers/cus_none")
    await add_endpoint(bench)
    await bench.http.post("/_sandbox/faults", json={"cut": True})
    with pytest.raises(httpx2.RemoteProtocolError):
        await bench.http.get("/v1/account")
    paid, missed, endpoint, cut = bench.app.sandbox.requests
    assert (paid.method, paid.path, paid.status) == ("POST", "/v1/payment_methods", 200)
    assert paid.idempotency_key == "k1"
    assert "4242424242424242" not in paid.shown_params
    assert '"type": "card"' in paid.shown_params
    assert missed.status == 404
    assert "No such customer" in missed.shown_answer
    assert "whsec_" not in endpoint.shown_answer
    assert (cut.path, cut.status) == ("/v1/account", 0)
    for _ in range(600):
        await bench.http.get("/v1/account")
    assert len(bench.app.sandbox.requests) == 500


async def test_a_reset_empties_everything_but_the_configured_endpoint(bench: Bench) -> None:
    bench.shop.answers.append(500)
    await bench.stripe.v1.customers.create_async()
    await bench.http.post("/_sandbox/chaos", json={"drop": 1})
    secret = bench.app.sandbox.webhook_secret
    assert (await bench.http.post("/_sandbox/reset")).status_code == 204
    assert (await bench.stripe.v1.customers.list_async()).data == []
    assert await bench.events() == []
    assert bench.app.sandbox.webhook_secret == secret
    await bench.stripe.v1.products.create_async({"name": "x"})
    await bench.deliver()
    assert bench.shop.types == ["product.created"]
