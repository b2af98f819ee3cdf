"""Webhooks: signed, retried, addressed by endpoint, and the events behind them."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest
import stripe

from stripe_sandbox.app import create_app
from stripe_sandbox.config import Config
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.work import DELIVERY
from stripe_sandbox.testing import SECRET, WEBHOOK, Bench, Shop


async def test_an_event_arrives_signed(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async({"email": "a@example.com"})
    await bench.deliver()
    (delivery,) = bench.shop.received
    assert delivery.url == WEBHOOK
    assert stripe.WebhookSignature.verify_header(
        delivery.payload.decode(), delivery.signature, SECRET, tolerance=300
    )
    event = bench.stripe.construct_event(delivery.payload, delivery.signature, SECRET)
    assert (event.type, event.api_version) == ("customer.created", stripe.api_version)
    assert event.data.object.id == customer.id
    assert event.pending_webhooks == 1
    seen = await bench.stripe.v1.events.retrieve_async(event.id)
    assert seen.pending_webhooks == 0


async def test_a_failed_delivery_is_tried_again_with_the_same_event(bench: Bench) -> None:
    bench.shop.answers.extend([500, 302, 404])
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert [delivery.status for delivery in bench.shop.received] == [500, 302, 404, 200]
    assert len({delivery.event["id"] for delivery in bench.shop.received}) == 1
    for delivery in bench.shop.received:
        assert stripe.WebhookSignature.verify_header(
            delivery.payload.decode(), delivery.signature, SECRET, tolerance=300
        )


async def test_a_delivery_is_given_up_after_the_last_delay(bench: Bench) -> None:
    bench.shop.answers.extend([500] * 4)
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert len(bench.shop.received) == 4
    events = bench.stripe.v1.events
    (lost,) = (await events.list_async({"delivery_success": False})).data
    assert lost.pending_webhooks == 1
    assert (await events.list_async({"delivery_success": True})).data == []


async def test_a_snapshot_shows_the_object_as_it_was(bench: Bench) -> None:
    await bench.http.post("/_sandbox/webhooks/pause")
    customer = await bench.stripe.v1.customers.create_async({"metadata": {"a": "1"}})
    await bench.stripe.v1.customers.update_async(customer.id, {"metadata": {"a": "2", "b": "3"}})
    await bench.stripe.v1.customers.delete_async(customer.id)
    assert bench.shop.received == []
    await bench.http.post("/_sandbox/webhooks/resume")
    await bench.deliver()
    by_type = {delivery.event["type"]: delivery.event["data"] for delivery in bench.shop.received}
    assert by_type["customer.created"]["object"]["metadata"] == {"a": "1"}
    assert "previous_attributes" not in by_type["customer.created"]
    updated = by_type["customer.updated"]
    assert updated["object"]["metadata"] == {"a": "2", "b": "3"}
    assert updated["previous_attributes"] == {"metadata": {"a": "1", "b": None}}
    assert by_type["customer.deleted"]["object"]["id"] == customer.id


async def test_an_endpoint_gets_what_it_chose_with_its_own_secret(bench: Bench) -> None:
    endpoints = bench.stripe.v1.webhook_endpoints
    chosen = await endpoints.create_async(
        {
            "url": "http://other.test/hook",
            "enabled_events": ["product.created"],
            "api_version": "2024-06-20",
        }
    )
    assert str(chosen.secret).startswith("whsec_")
    assert "secret" not in await endpoints.retrieve_async(chosen.id)
    await bench.stripe.v1.customers.create_async()
    await bench.stripe.v1.products.create_async({"name": "x"})
    await bench.deliver()
    (delivery,) = [d for d in bench.shop.received if d.url == "http://other.test/hook"]
    assert (delivery.event["type"], delivery.event["api_version"]) == (
        "product.created",
        "2024-06-20",
    )
    assert stripe.WebhookSignature.verify_header(
        delivery.payload.decode(), delivery.signature, str(chosen.secret)
    )


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_an_endpoint_that_is_gone_gets_nothing_more(bench: Bench, how: str) -> None:
    endpoints = bench.stripe.v1.webhook_endpoints
    other = await endpoints.create_async({"url": "http://other.test", "enabled_events": ["*"]})
    await bench.http.post("/_sandbox/webhooks/pause")
    await bench.stripe.v1.customers.create_async()
    if how == "disabled":
        disabled = await endpoints.update_async(other.id, {"disabled": True})
        assert disabled.status == "disabled"
    else:
        assert (await endpoints.delete_async(other.id)).deleted
    await bench.stripe.v1.customers.create_async()
    await bench.http.post("/_sandbox/webhooks/resume")
    await bench.deliver()
    assert {delivery.url for delivery in bench.shop.received} == {WEBHOOK}
    assert len(bench.shop.received) == 2


async def test_an_endpoint_needs_a_url_and_known_events(bench: Bench) -> None:
    for form in (
        {"url": "shop.test", "enabled_events[]": "*"},
        {"url": "http://shop.test", "enabled_events[]": "payment_intent.failed"},
        {"url": "http://shop.test", "enabled_events[]": "*", "api_version": "2020-01-01"},
    ):
        response = await bench.http.post("/v1/webhook_endpoints", data=form)
        assert response.status_code == 400


async def test_the_configured_endpoint_is_listed(bench: Bench) -> None:
    (endpoint,) = (await bench.stripe.v1.webhook_endpoints.list_async()).data
    assert (endpoint.id, endpoint.url, endpoint.status) == ("we_configured", WEBHOOK, "enabled")


async def test_events_are_found_by_type(bench: Bench) -> None:
    await bench.stripe.v1.products.create_async(
        {"name": "x", "default_price_data": {"currency": "usd", "unit_amount": 100}}
    )
    await bench.stripe.v1.customers.create_async()
    listed = bench.stripe.v1.events.list_async
    assert [e.type for e in (await listed({"type": "price.*"})).data] == ["price.created"]
    assert [e.type for e in (await listed({"type": "customer.created"})).data] == [
        "customer.created"
    ]
    both = await listed({"types": ["customer.created", "product.created"]})
    assert [e.type for e in both.data] == ["customer.created", "product.created"]
    assert (await listed({"created": {"lt": 1_000_000}})).data == []


class BusyShop(Shop):
    """Answers nobody until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.inside = self.most = 0

    async def receive(self, request: httpx2.Request) -> httpx2.Response:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.gate.wait()
        self.inside -= 1
        return await super().receive(request)


async def test_few_deliveries_are_under_way_at_one_time() -> None:
    config = Config(webhook_url=WEBHOOK, webhook_secret=SECRET, delivery_slots=2)
    shop = BusyShop()
    async with Bench.open(config, shop=shop) as bench:
        for _ in range(5):
            await bench.stripe.v1.customers.create_async()
        await asyncio.sleep(0)
        shop.gate.set()
        await bench.deliver()
    assert shop.most == 2
    assert len(shop.received) == 5


async def test_an_endpoint_that_breaks_is_tried_again(bench: Bench) -> None:
    bench.shop.answers.extend([RuntimeError("broken"), httpx2.ReadTimeout("slow"), 200])
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert bench.shop.types == ["customer.created"]


async def test_pending_deliveries_survive_a_restart(tmp_path: Path) -> None:
    config = Config(state=tmp_path / "state", webhook_url=WEBHOOK, settle_after=3600)
    async with Bench.open(config) as bench:
        await bench.http.post("/_sandbox/webhooks/pause")
        customer = await bench.stripe.v1.customers.create_async()
        secret = bench.app.sandbox.webhook_secret
        assert len(bench.app.sandbox.state.rows(DELIVERY)) == 1
    async with Bench.open(config) as bench:
        bench.app.sandbox.start()
        await bench.deliver()
        (delivery,) = bench.shop.received
        assert delivery.event["data"]["object"]["id"] == customer.id
        assert bench.app.sandbox.webhook_secret == secret
        assert stripe.WebhookSignature.verify_header(
            delivery.payload.decode(), delivery.signature, str(secret)
        )


async def test_a_signature_is_made_when_the_attempt_is_made(bench: Bench) -> None:
    await bench.http.post("/_sandbox/webhooks/pause")
    await bench.stripe.v1.customers.create_async()
    (key,) = bench.app.sandbox.state.rows(DELIVERY)
    event = key.partition(" ")[0]
    with bench.app.sandbox.work() as work:
        work.change(work.find("event", event), created=1_000)
    await bench.http.post("/_sandbox/webhooks/resume")
    await bench.deliver()
    signed_at = int(bench.shop.received[0].signature.partition(",")[0].removeprefix("t="))
    assert abs(signed_at - time.time()) < 60


async def test_what_settles_later_settles_by_itself() -> None:
    config = Config(webhook_url=WEBHOOK, webhook_secret=SECRET, settle_after=0.01)
    async with Bench.open(config) as bench:
        await bench.stripe.v1.payment_intents.create_async(
            {
                "amount": 1_000,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_visa",
            }
        )
        for _ in range(1000):
            if "charge.updated" in bench.shop.types:
                break
            await asyncio.sleep(0.001)
        assert bench.shop.types.count("charge.updated") == 1


async def test_an_endpoint_moves(bench: Bench) -> None:
    endpoints = bench.stripe.v1.webhook_endpoints
    await endpoints.update_async(
        "we_configured", {"url": "http://new.test", "metadata": {"a": "1"}}
    )
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert [delivery.url for delivery in bench.shop.received] == ["http://new.test"]


async def test_an_endpoint_that_is_no_longer_configured_is_disabled(tmp_path: Path) -> None:
    async with Bench.open(Config(state=tmp_path / "state", webhook_url=WEBHOOK)) as bench:
        bench.app.sandbox.start()
    async with Bench.open(Config(state=tmp_path / "state")) as bench:
        endpoint = await bench.stripe.v1.webhook_endpoints.retrieve_async("we_configured")
        assert endpoint.status == "disabled"
        assert bench.app.sandbox.webhook_secret is None
        await bench.stripe.v1.customers.create_async()
        assert not bench.app.sandbox.state.rows(DELIVERY)


async def test_a_job_that_fails_is_dropped_and_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with bench.app.sandbox.work() as work:
        work.settle_later("refund.arrive", {"id": "re_none"})
    await bench.settle()
    assert "refund.arrive of re_none failed and is dropped" in caplog.text
    assert (await bench.http.get("/_sandbox/health")).json()["waiting_jobs"] == 0


async def test_deliveries_follow_the_lifespan_of_the_application(tmp_path: Path) -> None:
    config = Config(state=tmp_path / "state", webhook_url=WEBHOOK, webhook_secret=SECRET)
    async with Bench.open(config) as bench:
        await bench.http.post("/_sandbox/webhooks/pause")
        await bench.stripe.v1.customers.create_async()
    shop = Shop()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(shop.receive)) as outgoing:
        app = create_app(config, http=outgoing)
        async with app.lifespan(app):
            await app.sandbox.courier.drained()
    assert shop.types == ["customer.created"]
    State(tmp_path / "state").close()
