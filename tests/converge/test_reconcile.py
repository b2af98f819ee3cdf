"""Reconcile: what differs from Stripe is named row by row, nothing else is; healing heals it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import httpx2
import pytest

from converge.networks import Network, reached_by
from converge.observing import intent_at_stripe, paid_at_stripe, priced_booking, refund_at_stripe
from converge.oracle import differences, expected_booking, payments_of, refunded
from payments.core.errors import StripeFailed
from payments.sync.account import WrongAccount
from payments.sync.reconcile import compare, confirm, sweep
from payments.sync.reconcile.run import carry_out, carry_out_due
from payments.sync.reconcile.runs import Wish, begin, request
from payments.sync.throttle import Throttle
from stripe_sandbox.engine.chaos import Chaos, Story
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


def table(world: World, kind: str) -> dict[str, Json]:
    """What Stripe has, to be changed by hand."""
    return world.sandbox.sandbox.state.table(kind).rows


async def apart(world: World) -> set[str]:
    """Which rows are not what Stripe has, by a comparison of another kind."""
    stripe = at_stripe(world)
    every = {object["id"] for objects in stripe.values() for object in objects}
    found = await differences(world.db, world.ctx.sync.registry, stripe, every)
    return {line.replace(":", " ").split()[0] for line in found}


# -- 20 % of the deliveries are lost


async def paid_by_page(world: World, n: int) -> Json:
    """A booking with a page: paid, declined first, expired, or declined and left open."""
    booking = await priced_booking(world)
    session = await world.session(booking, payment_type="deposit")
    if n % 4 == 2:
        await world.at_stripe("POST", f"/v1/checkout/sessions/{session['session_id']}/expire")
    else:
        if n % 4 in (1, 3):
            await world.pay(session, "pm_card_chargeDeclined", status=402)
        if n % 4 != 3:
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


class Interrupted(Network):
    """The way to Stripe, on which something happens before each fetch of one object is answered."""

    def __init__(
        self, app: httpx2.ASGITransport, path: str, happening: Callable[[], Awaitable[Any]]
    ) -> None:
        super().__init__(app)
        self._path, self._happening = path, happening

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == self._path:
            await self._happening()
        return await super().handle_async_request(request)


class Overheard(Network):
    """The way to Stripe, with all that is asked on it."""

    def __init__(self, app: httpx2.ASGITransport, asked: list[str]) -> None:
        super().__init__(app)
        self._asked = asked

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._asked.append(request.url.path)
        return await super().handle_async_request(request)


async def known(world: World) -> tuple[Json, Json]:
    """A paid booking, all of it known here."""
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.settle()
    await world.converge()
    return booking, intent


async def test_a_row_that_is_being_changed_is_no_drift_and_neither_is_one_that_is_awaited(
    world: World,
) -> None:
    _, intent = await known(world)
    path = f"/v1/payment_intents/{intent['id']}"
    [event] = await world.events(type="payment_intent.succeeded")

    async def change() -> None:
        """Another worker writes the row; it differs still, but not as it was."""
        written = "ticket = nextval('stripe.ticket'), failure_code = 'x'"
        await world.db.execute(f"update stripe.payment_intents set {written}")

    late = count()

    async def announce() -> None:
        await world.deliver(event | {"id": f"evt_late_{next(late)}"})

    async def nothing() -> None: ...

    for happening, drift in ((nothing, 1), (change, 0), (announce, 0)):
        await world.db.execute("update stripe.payment_intents set amount_received = 1")
        async with reached_by(world, partial(Interrupted, path=path, happening=happening)) as other:
            found = await reconcile(other, resources=["payment_intent"], heal=True)
        assert found["drift"] == drift, happening
    await world.work()
    for happening, drift in ((change, 0), (announce, 0), (nothing, 1)):
        await world.db.execute("update stripe.payment_intents set amount_received = 1")
        disturbed = partial(Interrupted, path="/v1/charges", happening=happening)
        async with reached_by(world, disturbed) as other:
            found = await reconcile(other, resources=["balance"])
        assert found["drift"] == drift, happening
        await world.work()


async def test_what_is_fetched_again_and_equal_is_no_drift(world: World) -> None:
    """An event was under way while Stripe's list was read."""
    booking = await priced_booking(world)
    intent = await intent_at_stripe(world, booking)
    await world.converge()
    await world.confirm(intent)
    events = await world.events(type="payment_intent.succeeded")
    path = f"/v1/payment_intents/{intent['id']}"
    arrival = partial(world.converge, events)
    async with reached_by(world, partial(Interrupted, path=path, happening=arrival)) as other:
        found = await reconcile(other, resources=["payment_intent"])
    assert (found["looked"]["payment_intent"], found["rows"]) == (1, [])


# -- what is looked at


async def test_older_rows_that_may_still_change_are_fetched_and_the_others_left_alone(
    world: World,
) -> None:
    booking = await priced_booking(world)
    paid = await paid_at_stripe(world, booking)
    waiting = await intent_at_stripe(world, booking)
    await world.converge()
    await world.confirm(waiting)
    await world.db.execute("update stripe.payment_intents set customer = 'cus_wrong'")
    found = await reconcile(world, days=-1, resources=["payment_intent"])
    assert (named(found), found["looked"]) == ({waiting["id"]}, {"payment_intent": 1})
    [row] = found["rows"]
    assert (row["kind"], row["ours"]["status"]) == ("differs", "requires_payment_method")
    assert (row["stripes"]["status"], row["stripes"]["amount_received"]) == ("succeeded", 10_000)
    assert named(await reconcile(world)) == {paid["id"], waiting["id"]}


async def test_every_page_is_compared_with_the_rows_of_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 3)
    monkeypatch.setattr(sweep, "AT_ONCE", 4)
    monkeypatch.setattr(compare, "AT_ONCE", 2)
    products = [await world.at_stripe("POST", "/v1/products", name=f"{n}") for n in range(10)]
    rows = table(world, "product")
    for age, product in enumerate(products[::-1]):
        rows[product["id"]]["created"] -= 60 * (age // 4)
    await world.work()
    healed = await reconcile(world, heal=True, resources=["product"])
    assert (named(healed), healed["left"]) == ({product["id"] for product in products}, 0)
    asked: list[str] = []
    async with reached_by(world, partial(Overheard, asked=asked)) as other:
        assert (await reconcile(other, resources=["product"]))["looked"] == {"product": 10}
    assert not [path for path in asked if path.startswith("/v1/products/")], "nothing was doubted"
    for product in products[::3]:
        rows.pop(product["id"])
    found = await reconcile(world, resources=["product"])
    assert {row["object_id"]: row["kind"] for row in found["rows"]} == {
        product["id"]: "missing_at_stripe" for product in products[::3]
    }


# -- what is missing at Stripe


async def test_what_stripe_deleted_is_buried_unless_it_is_suspiciously_much(
    world: World,
) -> None:
    customers = [await world.at_stripe("POST", "/v1/customers", name=f"{n}") for n in range(14)]
    await world.converge()
    for customer in customers[:3]:
        await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    found = await reconcile(world, heal=True)
    assert {row["kind"] for row in found["rows"]} == {"missing_at_stripe"}
    assert (found["drift"], found["left"]) == (3, 0)
    for customer in customers[3:]:
        await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    refused = await reconcile(world, heal=True)
    assert (refused["drift"], refused["left"]) == (11, 11)
    assert "too many" in refused["rows"][0]["remark"]
    assert await world.db.fetchval("select count(*) from stripe.customers where not deleted") == 11


async def test_a_payment_that_stripe_does_not_know_is_named_and_kept(world: World) -> None:
    booking, intent = await known(world)
    table(world, "payment_intent").pop(intent["id"])
    found = await reconcile(world, heal=True, resources=["payment_intent"])
    [row] = found["rows"]
    assert (row["kind"], row["healed"], row["stripes"]) == ("missing_at_stripe", False, None)
    assert "another key" in row["remark"]
    assert (await world.ask("GET", f"/bookings/{booking['id']}", role="service"))["paid_cents"] == (
        10_000
    )


# -- the balance


async def test_a_cent_too_much_here_is_found_by_the_balance_alone_and_healed(
    world: World,
) -> None:
    booking, intent = await known(world)
    refund = await refund_at_stripe(world, intent, amount=700)
    await world.settle()
    await world.converge()
    assert (await reconcile(world, resources=["balance"]))["rows"] == []
    await world.db.execute("update stripe.refunds set amount = amount + 1")
    await world.db.execute("update bookings set refunded_cents = refunded_cents + 1")
    ours, stripes = {"received": 10_000, "refunded": 701}, {"received": 10_000, "refunded": 700}
    found = await reconcile(world, resources=["balance"])
    assert off_balance(found) == {intent["id"]: (ours, stripes)}
    assert (await reconcile(world, resources=["balance"], heal=True))["left"] == 0
    assert await world.db.fetchval("select amount from stripe.refunds") == refund["amount"]
    seen = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
    assert seen["refunded_cents"] == 700


async def test_a_cent_too_little_on_stripes_balance_cannot_be_healed_here(world: World) -> None:
    _, intent = await known(world)
    [charge] = [t for t in transactions(world) if t["type"] == "charge"]
    charge["amount"] -= 1
    found = await reconcile(world, heal=True)
    sums = ({"received": n, "refunded": 0} for n in (10_000, 9_999))
    assert off_balance(found) == {intent["id"]: tuple(sums)}
    assert (found["left"], found["rows"][0]["healed"]) == (1, False)
    assert "ask Stripe" in found["rows"][0]["remark"]


async def test_a_refund_that_fails_long_after_its_payment_is_found_by_what_it_moved(
    world: World,
) -> None:
    """Both were made before the window; only their return lies in it."""
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking, "pm_card_refundFail")
    await refund_at_stripe(world, intent, amount=400)
    await world.converge()
    await world.settle()
    for transaction in transactions(world):
        transaction["created"] -= 20 * 86_400 * (transaction["type"] != "refund_failure")
    await world.db.execute("update stripe.refunds set created_at = created_at - interval '20 d'")
    found = await reconcile(world, resources=["balance"], heal=True)
    assert off_balance(found) == {
        intent["id"]: (
            {"received": 10_000, "refunded": 400},
            {"received": 10_000, "refunded": 0},
        )
    }
    assert await world.db.fetchval("select status from stripe.refunds") == "failed"
    longer = await reconcile(world, days=60, resources=["balance"])
    assert (longer["looked"], longer["rows"]) == ({"balance": 3}, [])


def transactions(world: World) -> list[Json]:
    return list(table(world, "balance_transaction").values())


async def test_a_charge_that_is_not_booked_yet_is_no_drift(world: World) -> None:
    booking = await priced_booking(world)
    await paid_at_stripe(world, booking)
    await world.converge()
    assert transactions(world) == []
    assert (await reconcile(world))["rows"] == []


async def test_another_settlement_currency_is_compared_in_the_payments_own(world: World) -> None:
    await known(world)
    [charge] = [t for t in transactions(world) if t["type"] == "charge"]
    charge |= {"currency": "eur", "amount": 9_123, "exchange_rate": 0.9123}
    assert (await reconcile(world))["rows"] == []


# -- what befalls a run


async def requested(world: World, **wish: Any) -> str:
    answer = await world.ask(
        "POST", "/stripe/reconciliations", wish, status=202, role="admin", user="boss"
    )
    return str(answer["id"])


async def test_a_run_that_is_broken_off_says_so_and_the_next_worker_does_it(world: World) -> None:
    booking, intent = await known(world)
    await world.db.execute("update stripe.payment_intents set amount_received = 1")
    await world.db.execute("update bookings set paid_cents = 1")
    reached, never = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        reached.set()
        await never.wait()

    id = await requested(world, heal=True)
    path = f"/v1/payment_intents/{intent['id']}"
    async with reached_by(world, partial(Interrupted, path=path, happening=stop)) as other:
        killed = asyncio.create_task(carry_out_due(other.ctx))
        await reached.wait()
        assert (await shown(world, id))["state"] == "running"
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    await carry_out_due(world.ctx)
    assert (await shown(world, id))["state"] == "running", "nobody takes what may still be held"
    past = "interval '61 s'"
    await world.db.execute(
        f"update reconciliations set seen_at = seen_at - {past}, not_before = not_before - {past}"
    )
    assert (await shown(world, id))["state"] == "broken_off"
    await carry_out_due(world.ctx)
    found = await shown(world, id)
    assert (found["state"], found["left"], named(found)) == ("done", 0, {intent["id"]})
    seen = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
    assert seen["paid_cents"] == 10_000


async def test_stripes_outage_is_no_drift_and_the_run_is_tried_again(world: World) -> None:
    await known(world)
    id = await requested(world)
    fault = {"path": "/v1/refunds", "status": 500, "times": 3}
    assert (await world.stripe.post("/_sandbox/faults", json=fault)).status_code == 201
    with pytest.raises(StripeFailed):
        await carry_out_due(world.ctx)
    failed = await shown(world, id)
    assert (failed["state"], failed["rows"], failed["attempts"]) == ("failed", [], 0)
    assert "StripeFailed" in failed["error"]
    await carry_out_due(world.ctx)
    assert (await shown(world, id))["state"] == "failed", "it rests"
    await world.db.execute("update reconciliations set not_before = now()")
    await carry_out_due(world.ctx)
    done = await shown(world, id)
    assert (done["state"], done["error"], done["rows"]) == ("done", None, [])


async def test_a_rate_limit_slows_a_run_down_and_ends_nothing(world: World) -> None:
    _, intent = await known(world)
    await world.db.execute("update stripe.payment_intents set amount_received = 1")
    fault = {"path": f"/v1/payment_intents/{intent['id']}", "status": 429, "times": 4}
    assert (await world.stripe.post("/_sandbox/faults", json=fault)).status_code == 201
    assert named(await reconcile(world)) == {intent["id"]}


async def test_another_accounts_key_compares_nothing(world: World) -> None:
    await known(world)
    await world.db.execute("update installation set account = 'acct_other'")
    id = await requested(world, heal=True)
    with pytest.raises(WrongAccount):
        await carry_out_due(world.ctx)
    found = await shown(world, id)
    assert (found["state"], found["looked"], found["rows"]) == ("failed", {}, [])
    assert "acct_other" in found["error"]
