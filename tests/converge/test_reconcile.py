"""Reconcile: what differs from Stripe is named row by row, and nothing else is; healing heals it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from converge.observing import intent_at_stripe, paid_at_stripe, priced_booking, refund_at_stripe
from converge.oracle import differences, expected_booking, payments_of, refunded
from payments.core.errors import StripeFailed
from payments.sync.account import WrongAccount
from payments.sync.reconcile import confirm
from payments.sync.reconcile.run import carry_out
from payments.sync.reconcile.runs import Wish, begin, request
from payments.sync.throttle import Throttle
from stripe_sandbox.chaos import Chaos, Story
from world import Json, World

Objects = Mapping[str, list[Json]]
SEED = 30
"""Of a story in which every kind of object loses all that was said of one."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)


async def reconcile(world: World, *, days: float = 3, **wish: Any) -> Json:
    """Carry out a run, and return it with its rows as an admin sees it."""
    since = world.ctx.clock.now() - timedelta(days=days)
    asked = Wish(since=since, **{"heal": False, **wish})
    async with world.ctx.db.transaction() as tx:
        id = await request(tx, asked, by="test")
    round = await begin(world.ctx.sync, Throttle(1000), id)
    assert round is not None
    await carry_out(round)
    return await shown(world, id)


async def shown(world: World, id: str) -> Json:
    run = await world.ask("GET", f"/stripe/reconciliations/{id}?limit=100", role="admin")
    return run | {"rows": run["rows"]["data"]}


def named(run: Json) -> set[str]:
    return {row["object_id"] for row in run["rows"] if row["resource"] != "balance"}


def off_balance(run: Json) -> dict[str, tuple[Json | None, Json]]:
    rows = [row for row in run["rows"] if row["resource"] == "balance"]
    return {row["object_id"]: (row["ours"], row["stripes"]) for row in rows}


def at_stripe(world: World) -> dict[str, list[Json]]:
    state = world.sandbox.sandbox.state
    living = {r.name: state.rows(r.name).values() for r in world.ctx.sync.registry.resources}
    return {name: [o for o in rows if not o.get("deleted")] for name, rows in living.items()}


async def apart(world: World) -> set[str]:
    """Which rows are not what Stripe has, by a comparison of another kind."""
    stripe = at_stripe(world)
    every = {object["id"] for objects in stripe.values() for object in objects}
    found = await differences(world.db, world.ctx.sync.registry, stripe, every)
    return {line.replace(":", " ").split()[0] for line in found}


# -- 20 % of the deliveries are lost


async def paid_by_page(world: World, n: int) -> Json:
    """A booking with a page: paid, declined first, expired or left open."""
    booking = await priced_booking(world)
    session = await world.session(booking, payment_type="deposit")
    if n % 4 == 2:
        await world.at_stripe("POST", f"/v1/checkout/sessions/{session['session_id']}/expire")
    elif n % 4 != 3:
        if n % 4 == 1:
            await world.pay(session, "pm_card_chargeDeclined", status=402)
        await world.pay(session)
    return booking


async def paid_by_card(world: World, card: str, *amounts: int) -> Json:
    """A booking whose deposit is paid by a card with a story, and given back in parts."""
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking, card)
    for amount in amounts:
        await refund_at_stripe(world, intent, amount=amount)
    return booking


async def a_busy_day(world: World) -> list[Json]:
    bookings = [await paid_by_page(world, n) for n in range(8)]
    for card in ("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"):
        bookings += [await paid_by_card(world, card, 2_500, 1_000) for _ in range(2)]
    bookings += [await paid_by_card(world, "pm_card_createDispute") for _ in range(3)]
    for n in range(6):
        product = await world.at_stripe("POST", "/v1/products", name=f"Lamp {n}")
        price = {"product": product["id"], "currency": "usd", "unit_amount": 900}
        made = await world.at_stripe("POST", "/v1/prices", **price)
        customer = await world.at_stripe("POST", "/v1/customers", name=f"Ann {n}")
        if n % 2:
            await world.at_stripe("POST", f"/v1/prices/{made['id']}", active="false")
            await world.at_stripe("POST", f"/v1/products/{product['id']}", name="A lamp")
            await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    await world.settle()
    return bookings


async def test_whatever_was_lost_with_a_fifth_of_the_deliveries_is_named_and_healed(
    world: World,
) -> None:
    bookings = await a_busy_day(world)
    story = Story(Chaos(seed=SEED, drop=0.2))
    endpoint = {"id": "we_1", "url": "https://payments.example"}
    events = [event for event in await world.events() if story.deliveries(event, endpoint)]
    await world.converge(events)

    lost = await apart(world)
    kinds = {id.split("_")[0] for id in lost}
    assert {"cs", "pi", "re", "du", "prod", "price", "cus"} <= kinds
    stripe = at_stripe(world)
    assert sum(map(len, stripe.values())) > 60

    found = await reconcile(world)
    assert named(found) == lost
    assert found["drift"] == found["left"] == len(found["rows"])
    assert await apart(world) == lost, "without --heal nothing is written"
    wrong = {
        intent["id"]: {"received": intent["amount_received"], "refunded": refunded(intent, stripe)}
        for booking in bookings
        for intent in payments_of(booking, stripe)
        if await sums(world, intent) != (intent["amount_received"], refunded(intent, stripe))
    }
    assert wrong
    assert {id: stripes for id, (_, stripes) in off_balance(found).items()} == wrong

    healed = await reconcile(world, heal=True)
    assert named(healed) == lost
    assert (healed["drift"], healed["left"]) == (len(lost), 0)
    assert await apart(world) == set()
    for booking in bookings:
        price = {"total": 44_000, "deposit": 10_000}
        wanted = expected_booking(booking, stripe, **price)
        seen = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
        assert {name: seen[name] for name in wanted} == wanted
    assert (await reconcile(world))["rows"] == []


async def sums(world: World, intent: Json) -> tuple[int, int]:
    query = "select received_cents, refunded_cents from payments where id = $1"
    row = await world.db.fetchrow(query, intent["id"])
    return tuple(row) if row else (0, 0)


# -- what is no drift


class Interrupted(httpx2.AsyncBaseTransport):
    """The way to Stripe, on which something happens once, before a request to a path is answered."""

    def __init__(self, way: Any, path: str, happening: Callable[[], Awaitable[Any]]) -> None:
        self._there, self._path, self._happening = way.target, path, happening
        self.happened = False
        way.target = self

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == self._path and not self.happened:
            self.happened = True
            await self._happening()
        return await self._there.handle_async_request(request)


def way(world: World) -> Any:
    return world.ctx.stripe._client._requestor._client._http._transport  # type: ignore[union-attr]


async def known(world: World) -> tuple[Json, Json]:
    """A paid booking, all of it known here."""
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.settle()
    await world.converge()
    return booking, intent


async def test_a_row_that_is_being_changed_is_no_drift_and_neither_is_one_that_is_awaited(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, intent = await known(world)
    await world.db.execute("update stripe.payment_intents set amount_received = 1")
    path = f"/v1/payment_intents/{intent['id']}"

    async def change() -> None:
        """Another worker writes the row; it differs still, but not as it was."""
        await world.db.execute("update stripe.payment_intents set ticket = nextval('stripe.ticket')")

    [event] = await world.events(type="payment_intent.succeeded")
    happenings = (change, lambda: world.deliver(event | {"id": "evt_late"}))
    for happening in happenings:
        interrupted = Interrupted(way(world), path, happening)
        found = await reconcile(world, resources=["payment_intent"])
        assert interrupted.happened
        assert found["rows"] == []
    await world.work()
    assert named(await reconcile(world)) == set()
