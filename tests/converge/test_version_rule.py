"""The version rule, story by story: what is written, what confirms, what is looked at again."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from converge.observing import (
    give,
    intent_at_stripe,
    paid_at_stripe,
    priced_booking,
    refund_at_stripe,
    resource,
    row,
    take_ticket,
    wished,
)
from payments.core.errors import Problem
from payments.stripe_api.service import options
from payments.sync import observe
from world import Json, World

OLD_VERSION = "2024-06-20"


@pytest.fixture
async def intent(world: World) -> Json:
    """An open PaymentIntent as Stripe has it; not observed yet."""
    return await intent_at_stripe(world, await priced_booking(world))


def processing(intent: Json) -> Json:
    return intent | {"status": "processing"}


def succeeded(intent: Json) -> Json:
    return intent | {"status": "succeeded", "amount_received": intent["amount"]}


async def receive(world: World, event: Json) -> Any:
    assert (await world.deliver(event)).status_code == 200
    return await world.db.fetchrow("select * from stripe_events where id = $1", event["id"])


# -- payloads


async def test_a_payload_of_a_higher_phase_is_written(world: World, intent: Json) -> None:
    await give(world, intent)
    await give(world, succeeded(intent))
    found = await row(world, intent)
    assert (found["status"], found["phase"], found["amount_received"]) == ("succeeded", 2, 10_000)
    assert await wished(world) == set()


async def test_a_payload_of_a_higher_phase_overwrites_a_later_fetch(
    world: World, intent: Json
) -> None:
    await give(world, intent, ticket=1_000_000)
    await give(world, succeeded(intent))
    assert (await row(world, intent))["status"] == "succeeded"


async def test_an_equal_payload_raises_the_ticket_and_nothing_else(
    world: World, intent: Json
) -> None:
    await give(world, intent)
    before = await row(world, intent)
    await give(world, intent)
    after = await row(world, intent)
    assert after["ticket"] > before["ticket"]
    assert {**after, "ticket": 0} == {**before, "ticket": 0}
    assert await wished(world) == set()


async def test_a_payload_that_differs_in_its_phase_is_fetched_not_written(
    world: World, intent: Json
) -> None:
    await give(world, intent)
    await give(world, processing(intent))
    assert (await row(world, intent))["status"] == "requires_payment_method"
    assert await wished(world) == {intent["id"]}


async def test_a_payload_of_a_lower_phase_is_dropped(world: World, intent: Json) -> None:
    await give(world, succeeded(intent))
    before = await row(world, intent)
    await give(world, intent)
    assert await row(world, intent) == before
    assert await wished(world) == set()


async def test_a_fetch_that_began_before_an_equal_payload_was_written_cannot_overwrite_it(
    world: World, intent: Json
) -> None:
    ticket = await take_ticket(world)
    await give(world, processing(intent))
    await give(world, intent, ticket=ticket)
    assert (await row(world, intent))["status"] == "processing"
    assert await wished(world) == {intent["id"]}


# -- fetches


async def test_a_later_fetch_is_written_whatever_it_says(world: World, intent: Json) -> None:
    await give(world, processing(intent), ticket=await take_ticket(world))
    await give(world, intent, ticket=await take_ticket(world))
    assert (await row(world, intent))["status"] == "requires_payment_method"
    assert await wished(world) == set()


async def test_an_older_fetch_is_refused_and_the_object_looked_at_again(
    world: World, intent: Json
) -> None:
    early, late = await take_ticket(world), await take_ticket(world)
    await give(world, processing(intent), ticket=late)
    await give(world, intent, ticket=early)
    assert (await row(world, intent))["status"] == "processing"
    assert await wished(world) == {intent["id"]}
    await world.work()
    assert (await row(world, intent))["status"] == "requires_payment_method"


async def test_an_older_fetch_that_says_the_same_is_refused_in_silence(
    world: World, intent: Json
) -> None:
    early, late = await take_ticket(world), await take_ticket(world)
    await give(world, intent, ticket=late)
    await give(world, intent, ticket=early)
    assert (await row(world, intent))["ticket"] == late
    assert await wished(world) == set()


async def test_an_older_fetch_of_a_higher_phase_is_written(world: World, intent: Json) -> None:
    early, late = await take_ticket(world), await take_ticket(world)
    await give(world, intent, ticket=late)
    await give(world, succeeded(intent), ticket=early)
    assert (await row(world, intent))["status"] == "succeeded"


async def test_a_later_fetch_of_a_lower_phase_is_refused(world: World, intent: Json) -> None:
    await give(world, succeeded(intent), ticket=await take_ticket(world))
    await give(world, intent, ticket=await take_ticket(world))
    assert (await row(world, intent))["status"] == "succeeded"
    assert await wished(world) == set()


async def test_a_fetch_in_a_batch_counts_once_with_its_latest_answer(
    world: World, intent: Json
) -> None:
    from payments.sync.apply import Observation, apply

    kind = resource(world, "payment_intent")
    early, late = await take_ticket(world), await take_ticket(world)
    seen = [Observation(kind, processing(intent), late), Observation(kind, intent, early)]
    await apply(world.ctx.sync, seen)
    found = await row(world, intent)
    assert (found["status"], found["ticket"]) == ("processing", late)


# -- one batch


async def test_of_two_payloads_in_one_batch_the_higher_phase_is_written(
    world: World, intent: Json
) -> None:
    await give(world, succeeded(intent), intent, processing(intent))
    assert (await row(world, intent))["status"] == "succeeded"
    assert await wished(world) == set()


@pytest.mark.parametrize("reverse", [False, True])
async def test_two_payloads_of_one_phase_in_one_batch_are_decided_by_stripe(
    world: World, intent: Json, *, reverse: bool
) -> None:
    both = [intent, processing(intent)]
    await give(world, *(both[::-1] if reverse else both))
    assert await wished(world) == {intent["id"]}
    await world.work()
    assert (await row(world, intent))["status"] == "requires_payment_method"


async def test_the_same_payload_twice_in_one_batch_is_one(world: World, intent: Json) -> None:
    await give(world, intent, dict(intent))
    assert await wished(world) == set()
    assert await world.db.fetchval("select count(*) from stripe.payment_intents") == 1


# -- answers to writes


async def test_a_replayed_answer_is_no_observation(world: World) -> None:
    kind = resource(world, "customer")
    form = {"email": "first@example.com"}

    async def create() -> Json:
        return await observe.perform(
            world.ctx.sync,
            kind,
            lambda c: c.v1.customers.create_async(form, options("customer:one")),  # type: ignore[arg-type]  # a TypedDict
        )

    made = await create()
    await world.at_stripe("POST", f"/v1/customers/{made['id']}", email="second@example.com")
    again = await create()
    assert (again["id"], again["email"]) == (made["id"], "second@example.com")
    assert (await row(world, made))["email"] == "second@example.com"


# -- taps


async def test_an_event_of_another_api_version_is_a_tap(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    event = (await world.events(type="payment_intent.succeeded"))[-1]
    lie = {"object": succeeded(intent) | {"amount_received": 1}}
    stored = await receive(world, event | {"api_version": OLD_VERSION, "data": lie})
    assert (stored["lane"], stored["object_id"]) == (1, intent["id"])
    await world.work()
    assert (await row(world, intent))["amount_received"] == 10_000
    assert (await world.booking(booking))["paid_cents"] == 10_000


async def test_a_thin_event_is_a_tap(world: World) -> None:
    intent = await paid_at_stripe(world, await priced_booking(world))
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.payment_intent.succeeded",
        "created": "2026-11-20T10:00:00.000Z",
        "livemode": False,
        "related_object": {"id": intent["id"], "type": "payment_intent", "url": "/v1/…"},
    }
    assert (await receive(world, thin))["lane"] == 1
    await world.work()
    assert (await row(world, intent))["status"] == "succeeded"


async def test_an_event_of_the_other_mode_is_kept_and_ignored(world: World) -> None:
    await paid_at_stripe(world, await priced_booking(world))
    event = (await world.events(type="payment_intent.succeeded"))[-1]
    stored = await receive(world, event | {"livemode": True})
    assert (stored["outcome"], stored["not_before"], stored["lane"]) == ("ignored", None, None)
    await world.work()
    assert await world.db.fetchval("select count(*) from stripe.payment_intents") == 0


async def test_an_event_of_an_unknown_type_is_kept_and_ignored(world: World) -> None:
    event = {"id": "evt_new", "type": "galaxy.created", "data": {"object": {"id": "gal_1"}}}
    stored = await receive(world, event)
    assert (stored["outcome"], stored["not_before"]) == ("ignored", None)
    assert stored["body"]
    await world.work()


async def test_a_delivery_that_comes_twice_is_applied_once(world: World) -> None:
    await paid_at_stripe(world, await priced_booking(world))
    event = (await world.events(type="payment_intent.succeeded"))[-1]
    await world.converge([event])
    first = await receive(world, event)
    assert first["outcome"] == "applied"
    await world.work()
    assert await receive(world, event) == first


# -- what is gone


async def test_a_404_of_a_deletable_is_a_tombstone(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="Short-lived")
    await give(world, product, ticket=await take_ticket(world))
    await world.at_stripe("DELETE", f"/v1/products/{product['id']}")
    await observe.refresh(world.ctx.sync, resource(world, "product"), product["id"])
    found = await row(world, product)
    assert (found["deleted"], found["name"]) == (True, "Short-lived")


async def test_a_deleted_customer_is_a_tombstone(world: World) -> None:
    customer = await world.at_stripe("POST", "/v1/customers", email="a@example.com")
    await world.converge(await world.events(type="customer.created"))
    await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    await world.converge(await world.events(type="customer.deleted"))
    assert (await row(world, customer))["deleted"]


async def test_a_look_from_before_the_deletion_does_not_bring_an_object_back(world: World) -> None:
    customer = await world.at_stripe("POST", "/v1/customers", email="a@example.com")
    early, late = await take_ticket(world), await take_ticket(world)
    await give(world, {"id": customer["id"], "object": "customer", "deleted": True}, ticket=late)
    await give(world, customer, ticket=early)
    found = await row(world, customer)
    assert found is None or found["deleted"] or customer["id"] in await wished(world)


async def test_a_deletion_seen_by_an_older_fetch_is_looked_at_again(world: World) -> None:
    customer = await world.at_stripe("POST", "/v1/customers", email="a@example.com")
    early, late = await take_ticket(world), await take_ticket(world)
    await give(world, customer, ticket=late)
    await give(world, {"id": customer["id"], "object": "customer", "deleted": True}, ticket=early)
    assert (await row(world, customer))["deleted"] or customer["id"] in await wished(world)


async def test_a_404_of_what_cannot_be_deleted_is_an_error_with_an_alert(world: World) -> None:
    intent = await paid_at_stripe(world, await priced_booking(world))
    await give(world, intent)
    ghost = intent | {"id": "pi_of_another_account"}
    event = (await world.events(type="payment_intent.succeeded"))[-1]
    alerts = _alerts()
    await receive(world, event | {"api_version": OLD_VERSION, "data": {"object": ghost}})
    await world.work()
    waiting = await world.db.fetchrow("select * from stripe_events where id = $1", event["id"])
    assert waiting["attempts"] == 1
    assert "pi_of_another_account" in waiting["error"]
    assert await row(world, ghost) is None
    assert _alerts() == alerts + 1


async def test_looking_at_what_is_missing_and_cannot_be_deleted_raises(world: World) -> None:
    with pytest.raises(Problem, match="pi_missing"):
        await observe.refresh(world.ctx.sync, resource(world, "payment_intent"), "pi_missing")


def _alerts() -> float:
    samples = (s for metric in REGISTRY.collect() for s in metric.samples)
    return sum(s.value for s in samples if s.name == "payments_alerts_total")


# -- phases


async def test_a_refund_that_succeeded_may_still_fail(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking, "pm_card_refundFail")
    refund = await refund_at_stripe(world, intent, amount=3_000)
    await give(world, intent, refund)
    assert (await world.booking(booking))["refunded_cents"] == 3_000
    await world.settle()
    await give(world, *(e["data"]["object"] for e in await world.events(type="refund.failed")))
    assert (await row(world, refund))["status"] == "failed"
    assert (await world.booking(booking))["refunded_cents"] == 0
    await give(world, refund)
    assert (await row(world, refund))["status"] == "failed"


@pytest.mark.parametrize(
    ("name", "life"),
    [
        ("payment_intent", ["requires_payment_method", "requires_capture", "succeeded"]),
        ("payment_intent", ["requires_action", "requires_capture", "canceled"]),
        ("payment_intent", ["processing", "requires_payment_method", "processing", "succeeded"]),
        ("refund", ["pending", "succeeded", "failed"]),
        ("refund", ["requires_action", "canceled"]),
    ],
)
def test_a_phase_never_falls_along_a_life(name: str, life: list[str]) -> None:
    from payments.domains import assemble

    kind = assemble().registry.by_name[name]
    phases = [kind.phase({"status": status}) for status in life]
    assert phases == sorted(phases)


def test_the_phase_of_a_session_grows_with_its_status_and_then_with_its_money() -> None:
    from payments.domains import assemble

    phase = assemble().registry.by_name["checkout.session"].phase
    life = [("open", "unpaid"), ("expired", "unpaid"), ("complete", "unpaid"), ("complete", "paid")]
    phases = [phase({"status": status, "payment_status": paid}) for status, paid in life]
    assert phases == [0, 1, 2, 3]
    assert phase({"status": "complete", "payment_status": "no_payment_required"}) == 3


async def test_an_answer_that_was_asked_for_earlier_never_passes_a_later_one(world: World) -> None:
    product = await world.at_stripe("POST", "/v1/products", name="old")
    path, kind = f"/v1/products/{product['id']}", resource(world, "product")
    slow = {"method": "GET", "path": path, "when": "after", "delay_seconds": 0.3}
    assert (await world.stripe.post("/_sandbox/faults", json=slow)).status_code == 201
    earlier = asyncio.create_task(observe.refresh(world.ctx.sync, kind, product["id"]))
    while world.sandbox.sandbox.faults._waiting:  # noqa: ASYNC110 - until it is being answered
        await asyncio.sleep(0.01)
    await world.at_stripe("POST", path, name="new")
    await observe.refresh(world.ctx.sync, kind, product["id"])
    assert (await earlier)["name"] == "old"
    assert (await row(world, product))["name"] == "new"
    assert await wished(world) == {product["id"]}
