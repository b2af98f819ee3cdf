"""Refunds under load and faults: never a cent too much, never one lost, every answer true."""

from random import Random
from typing import Any, Final

import pytest

from converge.observing import paid_at_stripe, priced_booking
from payments.domains.refunds.tables import MARK
from world import Json, World, together

RECEIVED: Final = 10_000
PATH: Final = "/v1/refunds"
FAULTS: Final[dict[str, Json]] = {
    "500 after the work": {"status": 500, "when": "after", "times": 3},
    "500 before the work": {"status": 500, "times": 3},
    "cut after the work": {"cut": True, "when": "after", "times": 3},
    "cut before the work": {"cut": True, "times": 3},
    "429": {"status": 429, "times": 3},
}


async def paid(world: World) -> str:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    return str(intent["id"])


async def ask(world: World, payment: str, amount: int, key: str | None = None) -> Any:
    headers = world.bearer("boss", "admin") | ({"Idempotency-Key": key} if key else {})
    body = {"payment_id": payment, "amount_cents": amount}
    return await world.api.post("/api/v1/stripe/refund", json=body, headers=headers)


async def fault(world: World, **what: Any) -> None:
    body = {"method": "POST", "path": PATH, **what}
    assert (await world.stripe.post("/_sandbox/faults", json=body)).status_code == 201


async def finish(world: World) -> None:
    """What a worker does once a minute has passed."""
    await world.stripe.delete("/_sandbox/faults")
    await world.converge()
    for _ in range(4):
        await world.db.execute(
            "update stripe_events set not_before = now() where not_before is not null"
        )
        await world.work()


async def at_stripe(world: World) -> list[Json]:
    found: list[Json] = (await world.at_stripe("GET", f"{PATH}?limit=100"))["data"]
    return found


async def check(world: World, payment: str) -> dict[str, Json]:
    """Ours and Stripe's agree to the cent; nothing waits. Returns Stripe's refunds by request."""
    refunds = await at_stripe(world)
    requests = await world.rows("select id::text, amount, state, stripe_id from refund_requests")
    made = {refund["metadata"][MARK]: refund for refund in refunds}
    assert len(made) == len(refunds), "one refund a request"
    for request in requests:
        refund = made.get(request["id"])
        wanted = ("rejected", None) if refund is None else (refund["status"], refund["id"])
        assert (request["state"], request["stripe_id"]) == wanted
        assert refund is None or refund["amount"] == request["amount"]
    given_back = sum(refund["amount"] for refund in refunds)
    assert given_back <= RECEIVED
    [shown] = (await world.ask("GET", "/stripe/payments", role="admin"))["data"]
    assert (shown["id"], shown["refunded_cents"]) == (payment, given_back)
    waiting = "select id, error from stripe_events where not_before is not null"
    assert await world.rows(waiting) == []
    return made


@pytest.mark.parametrize("seed", [1, 2])
async def test_forty_at_once_give_back_no_more_than_was_received(world: World, seed: int) -> None:
    payment, random = await paid(world), Random(seed)
    for what in FAULTS.values():
        await fault(world, **what)
    keys = [random.choice([None, "a", "b", "c", f"own-{n}"]) for n in range(40)]
    amounts = {"a": 1000, "b": 1500, "c": 700}
    wishes = [(key, amounts.get(key or "", random.randint(100, 900))) for key in keys]
    answers = await together(*(ask(world, payment, amount, key) for key, amount in wishes))
    assert not [answer for answer in answers if isinstance(answer, BaseException)]
    await finish(world)
    made = await check(world, payment)
    for (_, amount), answer in zip(wishes, answers, strict=True):
        told = answer.json()
        assert answer.status_code in (200, 202, 409, 422), answer.text
        if answer.status_code == 200:
            refund = made[told["request_id"]]
            assert (refund["id"], refund["amount"]) == (told["id"], amount)
        if answer.status_code == 202:
            assert made[told["request_id"]]["amount"] == amount
        if answer.status_code == 422:
            assert "left to give back" in told["detail"]
    for key, amount in amounts.items():
        again = await ask(world, payment, amount, key)
        assert again.status_code in (200, 409, 422)
    assert await check(world, payment) == made


@pytest.mark.parametrize("what", FAULTS.values(), ids=FAULTS)
async def test_a_fault_of_stripe_costs_no_refund_and_doubles_none(world: World, what: Json) -> None:
    payment = await paid(world)
    await fault(world, **what)
    answer = await ask(world, payment, 5000, "k")
    assert answer.status_code in (200, 202), answer.text
    assert answer.json()["status"] in ("requested", "unknown", "succeeded")
    left = await ask(world, payment, RECEIVED - 5000 + 1, "too much")
    assert left.status_code == 422, "what has no clear answer stays reserved"
    await finish(world)
    [refund] = (await check(world, payment)).values()
    again = await ask(world, payment, 5000, "k")
    assert (again.status_code, again.json()["id"]) == (200, refund["id"])


async def test_an_answer_that_cannot_even_be_looked_up_is_still_no_error(world: World) -> None:
    payment = await paid(world)
    await fault(world, status=500, when="after", times=3)
    await fault(world, method="GET", cut=True, times=9)
    answer = await ask(world, payment, 5000)
    assert (answer.status_code, answer.json()["status"]) == (202, "unknown")
    assert (await world.rows("select attempt from refund_requests"))[0]["attempt"] == 1
    await finish(world)
    [refund] = (await check(world, payment)).values()
    assert (
        refund["id"] == (await world.ask("GET", "/stripe/refunds", role="admin"))["data"][0]["id"]
    )
