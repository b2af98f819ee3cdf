"""Chaos: each kind at its rate, one story to a seed, and payments that end right all the same."""

import time
from collections import Counter

import httpx2
import pytest
import stripe

from stripe_sandbox.engine.chaos import Chaos, Story
from stripe_sandbox.engine.faults import Fault
from stripe_sandbox.engine.work import DELIVERY
from stripe_sandbox.testing import WEBHOOK, Bench

Told = tuple[str, str | None, bool]
ENDPOINT = {"id": "we_1", "url": WEBHOOK}
CALLS = ["429", "500_before", "500_after", "slow", "cut"]
DELIVERIES = ["duplicate", "reorder", "delay", "drop"]


async def unleash(bench: Bench, **rates: float) -> None:
    chaos = {"seed": 42, "seconds": 0.02, **rates}
    response = await bench.http.post("/_sandbox/chaos", json=chaos)
    assert response.status_code == 201
    assert (await bench.http.get("/_sandbox/chaos")).json() == response.json()
    assert response.json().items() >= chaos.items()


def told(chaos: Chaos, routes: list[str]) -> tuple[list[Fault | None], list[list[Told]]]:
    """What befalls these calls and one event after each; times are left out."""
    story = Story(chaos)
    strikes, deliveries = [], []
    for n, route in enumerate(routes):
        strikes.append(story.strike(route))
        rows = story.deliveries({"id": f"evt_{n}", "type": "charge.updated"}, ENDPOINT)
        deliveries.append(
            [(key, row.get("overtakes"), row["due"] > 2) for key, row in rows.items()]
        )
    return strikes, deliveries


def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    routes = ["POST /v1/refunds", "GET /v1/charges"] * 50
    story = told(Chaos.read("0.2", seed=42), routes)
    assert told(Chaos.read("0.2", seed=42), routes) == story
    assert told(Chaos.read("0.2", seed=43), routes) != story
    assert {len(rows) for rows in story[1]} == {0, 1, 2}
    assert len({str(strike) for strike in story[0]}) > len(CALLS)


def test_what_befalls_a_call_does_not_depend_on_the_calls_between() -> None:
    chaos = Chaos.read("0.3", seed=1)
    alone, _ = told(chaos, ["POST /v1/refunds"] * 20)
    between, _ = told(chaos, ["POST /v1/refunds", "GET /v1/charges"] * 20)
    assert between[::2] == alone


def test_a_rate_is_how_often_it_happens() -> None:
    story = Story(Chaos.read("429=0.25", seed=7))
    strikes = [story.strike("GET /v1/charges") for _ in range(1000)]
    assert 200 < len([strike for strike in strikes if strike]) < 300


async def test_a_calm_day_has_neither_faults_nor_copies(bench: Bench) -> None:
    assert not any(Chaos().rates.values())
    for _ in range(20):
        await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert bench.shop.types == ["customer.created"] * 20


@pytest.mark.parametrize("kind", CALLS)
async def test_calls_suffer_and_a_retry_with_the_same_key_creates_nothing_twice(
    bench: Bench, kind: str
) -> None:
    async def create(key: str) -> int | None:
        try:
            headers = {"Idempotency-Key": key}
            return (await bench.http.post("/v1/customers", headers=headers)).status_code
        except httpx2.RemoteProtocolError:
            return None

    await unleash(bench, **{kind: 1})
    expected = {"429": 429, "slow": 200, "cut": None}.get(kind, 500)
    assert {await create(key) for key in "abcdefgh"} == {expected}
    await bench.http.delete("/_sandbox/chaos")
    made = len((await bench.stripe.v1.customers.list_async()).data)
    kept = {"429": {0}, "500_before": {0}, "cut": set(range(1, 8))}.get(kind, {8})
    assert made in kept
    again = [await create(key) for key in "abcdefgh"]
    assert again == [500 if kind == "500_after" else 200] * 8
    assert len((await bench.stripe.v1.customers.list_async({"limit": 100})).data) == 8


async def test_a_duplicate_is_posted_again_and_counted_once(bench: Bench) -> None:
    await unleash(bench, duplicate=1)
    for _ in range(5):
        await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    posts = Counter(delivery.event["id"] for delivery in bench.shop.received)
    assert list(posts.values()) == [2] * 5
    events = (await bench.stripe.v1.events.list_async()).data
    assert [event.pending_webhooks for event in events] == [0] * 5


async def test_a_reordered_event_is_overtaken_by_the_next(bench: Bench) -> None:
    await unleash(bench, reorder=1, seconds=60)
    for name in "abcd":
        await bench.stripe.v1.customers.create_async({"name": name})
    await bench.deliver()
    names = [delivery.event["data"]["object"]["name"] for delivery in bench.shop.received]
    assert names.index("b") < names.index("a")
    assert names.index("d") < names.index("c")


async def test_a_reordered_event_that_nothing_overtakes_comes_at_last(bench: Bench) -> None:
    await unleash(bench, reorder=1)
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert bench.shop.types == ["customer.created"]


async def test_a_delayed_event_comes_later(bench: Bench) -> None:
    await unleash(bench, delay=1, seconds=60)
    await bench.stripe.v1.customers.create_async()
    (late,) = bench.app.sandbox.state.rows(DELIVERY).values()
    assert 0 < late["due"] - time.time() < 60
    await bench.http.delete("/_sandbox/chaos")
    await bench.stripe.v1.products.create_async({"name": "x"})
    with bench.app.sandbox.work() as work:
        work.state.change(DELIVERY, f"{late['event']} {late['endpoint']}", due=0.0)
    await bench.deliver()
    assert bench.shop.types == ["product.created", "customer.created"]


async def test_a_dropped_event_is_only_in_the_list_of_events(bench: Bench) -> None:
    await unleash(bench, drop=1)
    await bench.stripe.v1.customers.create_async()
    await bench.deliver()
    assert bench.shop.received == []
    events = bench.stripe.v1.events
    (lost,) = (await events.list_async({"delivery_success": False})).data
    assert (lost.type, lost.pending_webhooks) == ("customer.created", 1)
    assert (await events.list_async({"delivery_success": True})).data == []


async def pay(bench: Bench, *, key: str) -> str:
    """Ask until there is an answer, as a client does that wants to know."""
    try:
        intent = await bench.stripe.v1.payment_intents.create_async(
            {
                "amount": 1_000,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_visa",
            },
            {"idempotency_key": key, "max_network_retries": 0},
        )
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError):
        return await pay(bench, key=key)
    return intent.status


async def test_payments_end_right_under_chaos(bench: Bench) -> None:
    rates = dict.fromkeys(["429", "500_before", "slow", "cut", *DELIVERIES], 0.2)
    await unleash(bench, **rates)
    for n in range(10):
        assert await pay(bench, key=f"payment {n}") == "succeeded"
    await bench.deliver()
    await bench.http.delete("/_sandbox/chaos")
    charges = (await bench.stripe.v1.charges.list_async({"limit": 100})).data
    assert [charge.amount_captured for charge in charges] == [1_000] * 10
    paid = "payment_intent.succeeded"
    lost = await bench.stripe.v1.events.list_async(
        {"type": paid, "limit": 100, "delivery_success": False}
    )
    found = {event.id for event in lost.data}
    received = {d.event["id"] for d in bench.shop.received if d.event["type"] == paid}
    assert found
    assert not found & received
    assert len(found | received) == 10


async def test_a_chaos_that_makes_no_sense_is_refused_and_changes_nothing(bench: Bench) -> None:
    before = bench.app.sandbox.story
    for wrong in ({"drop": 1.1}, {"cut": -0.1}, {"loss": 0.5}, {"seconds": -1}):
        assert (await bench.http.post("/_sandbox/chaos", json=wrong)).status_code == 400
    assert bench.app.sandbox.story is before
