"""Reconcile, when it is begun twice, and where Stripe knows less than the rows."""

import pytest

from converge.observing import paid_at_stripe, priced_booking
from converge.test_reconcile import known, reconcile, requested, shown, table
from payments.core.errors import StripeFailed
from payments.sync.reconcile import confirm
from payments.sync.reconcile.run import carry_out, carry_out_due
from payments.sync.reconcile.runs import begin, close, give_up
from payments.sync.throttle import Throttle
from world import World


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)


async def test_what_a_failed_attempt_has_healed_stays_noted_and_is_told(world: World) -> None:
    _, intent = await known(world)
    await world.db.execute("update stripe.payment_intents set amount_received = 1")
    id = await requested(world, heal=True)
    fault = {"path": "/v1/refunds", "status": 500, "times": 3}
    assert (await world.stripe.post("/_sandbox/faults", json=fault)).status_code == 201
    with pytest.raises(StripeFailed):
        await carry_out_due(world.ctx)
    await world.db.execute("update reconciliations set not_before = now()")
    await carry_out_due(world.ctx)
    done = await shown(world, id)
    assert (done["state"], done["drift"], done["left"]) == ("done", 1, 0)
    assert [row["object_id"] for row in done["rows"]] == [intent["id"]]
    assert await world.db.fetchval("select facts->>'found' from outbox where id ~ '^drift'") == "1"


async def test_an_attempt_may_not_bury_as_many_again_as_the_one_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "MOST_BURIED", 2)
    customers = [await world.at_stripe("POST", "/v1/customers", name=f"{n}") for n in range(4)]
    await world.converge()
    id = await requested(world, heal=True, resources=["customer", "refund"])
    for two in (customers[:2], customers[2:]):
        for customer in two:
            await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
        if two == customers[:2]:
            fault = {"path": "/v1/refunds", "status": 500, "times": 3}
            await world.stripe.post("/_sandbox/faults", json=fault)
            with pytest.raises(StripeFailed):
                await carry_out_due(world.ctx)
            await world.db.execute("update reconciliations set not_before = now()")
    await carry_out_due(world.ctx)
    done = await shown(world, id)
    assert (done["drift"], done["left"]) == (4, 2)
    assert await world.db.fetchval("select count(*) from stripe.customers where not deleted") == 2


async def test_a_run_that_another_process_has_begun_again_is_ended_by_that_one_alone(
    world: World,
) -> None:
    await known(world)
    id = await requested(world)
    first = await begin(world.ctx.sync, Throttle(1000))
    await world.db.execute("update reconciliations set not_before = now()")
    second = await begin(world.ctx.sync, Throttle(1000))
    assert first is not None
    assert second is not None
    await close(first)
    await give_up(first, TimeoutError("too late"))
    assert (await shown(world, id))["state"] == "running"
    await carry_out(second)
    await give_up(first, TimeoutError("too late"))
    done = await shown(world, id)
    assert (done["state"], done["error"]) == ("done", None)


async def test_the_balance_names_and_keeps_a_payment_that_stripe_does_not_know(
    world: World,
) -> None:
    _, intent = await known(world)
    for kind in ("payment_intent", "charge", "balance_transaction"):
        table(world, kind).clear()
    found = await reconcile(world, heal=True, resources=["balance"])
    [row] = found["rows"]
    assert (row["object_id"], row["kind"]) == (intent["id"], "missing_at_stripe")
    assert (row["ours"], row["stripes"]) == ({"received": 10_000, "refunded": 0}, None)
    assert "another key" in row["remark"]


async def test_the_payment_of_a_session_is_compared_once_it_cannot_change(world: World) -> None:
    booking = await priced_booking(world)
    session = await world.session(booking, payment_type="deposit")
    await world.db.execute("update stripe.checkout_sessions set payment_intent = 'pi_early'")
    assert (await reconcile(world, resources=["checkout.session"]))["rows"] == []
    await world.pay(session)
    await world.converge()
    assert (await reconcile(world))["rows"] == []
    await world.db.execute("update stripe.checkout_sessions set payment_intent = null")
    found = await reconcile(world, heal=True, resources=["checkout.session"])
    [row] = found["rows"]
    assert (row["object_id"], row["ours"]) == (session["session_id"], {"payment_intent": None})
    assert found["left"] == 0


async def test_a_rate_limit_on_a_list_ends_nothing(world: World) -> None:
    booking = await priced_booking(world)
    await paid_at_stripe(world, booking)
    await world.settle()
    await world.converge()
    for path in ("/v1/payment_intents", "/v1/balance_transactions"):
        fault = {"path": path, "status": 429, "times": 3}
        assert (await world.stripe.post("/_sandbox/faults", json=fault)).status_code == 201
    found = await reconcile(world, resources=["payment_intent", "balance"])
    assert (found["looked"], found["rows"]) == ({"payment_intent": 1, "balance": 1}, [])
