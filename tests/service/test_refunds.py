"""Refunds: reserved, made once, followed to their end."""

from datetime import timedelta
from typing import Any

import pytest

from world import Json, World, together

ADMIN: Any = {"role": "admin", "user": "boss"}


async def paid(world: World, *, card: str = "pm_card_visa", **body: Any) -> tuple[Json, str]:
    """A booking whose deposit of $100.00 was paid, and the payment's id."""
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="deposit", **body), card)
    await world.converge()
    listed = await world.ask("GET", f"/stripe/payments?booking_id={booking['id']}")
    return booking, listed["data"][0]["id"]


async def refund(world: World, payment: str, status: int = 200, **body: Any) -> Json:
    return await world.ask(
        "POST", "/stripe/refund", {"payment_id": payment, **body}, status=status, **ADMIN
    )


async def test_a_part_is_given_back_and_the_payment_follows(world: World) -> None:
    booking, payment = await paid(world)
    made = await refund(world, payment, amount_cents=5000, reason="customer_request")
    assert made["id"].startswith("re_")
    assert (made["amount_cents"], made["amount"], made["status"]) == (5000, "$50.00", "succeeded")
    assert (made["booking_id"], made["payment_id"]) == (booking["id"], payment)
    assert (made["reason"], made["comment"]) == ("requested_by_customer", "customer_request")
    shown = (await world.ask("GET", "/stripe/payments"))["data"][0]
    assert (shown["status"], shown["refunded_cents"]) == ("partially_refunded", 5000)
    assert (await world.booking(booking))["refunded_cents"] == 5000
    await world.converge()
    assert (await world.ask("GET", "/stripe/refunds", **ADMIN))["data"] == [made]
    seen = await world.ask("GET", f"/stripe/refunds/{made['request_id']}")
    assert seen == made | {"comment": None}, "a remark is for those who refund"


async def test_what_is_left_out_is_all_that_is_left(world: World) -> None:
    _, payment = await paid(world)
    await refund(world, payment, amount="30.00")
    assert (await refund(world, payment))["amount_cents"] == 7000
    assert (await refund(world, payment, 409))["code"] == "conflict"
    assert (await world.ask("GET", "/stripe/payments"))["data"][0]["status"] == "refunded"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ('{"amount": 50}', "amount_cents: 50"),
        ('{"amount": "50,00"}', "50.00"),
        ('{"amount": 50.001}', "decimals"),
        ('{"amount": "50.00", "amount_cents": 5000}', "not both"),
        ('{"amount_cents": 10001}', "10000"),
        ('{"amount_cents": 50.0}', "amount_cents"),
        ('{"amount": 1e400}', "amount"),
        ('{"amount": -5.0}', "amount"),
        ('{"amount": "0.00"}', "amount"),
        ('{"colour": 1}', "colour"),
    ],
)
async def test_an_amount_that_may_not_be_is_refused_and_changes_nothing(
    world: World, sent: str, told: str
) -> None:
    _, payment = await paid(world)
    body = f'{{"payment_id": "{payment}", {sent[1:]}'
    headers = world.bearer("boss", "admin") | {"Content-Type": "application/json"}
    answer = await world.api.post("/api/v1/stripe/refund", content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert told in answer.json()["detail"]
    assert await world.rows("select 1 from refund_requests") == []


async def test_decimals_are_kept_as_they_were_sent(world: World) -> None:
    _, payment = await paid(world)
    body = f'{{"payment_id": "{payment}", "amount": 50.10}}'
    headers = world.bearer("boss", "admin") | {"Content-Type": "application/json"}
    answer = await world.api.post("/api/v1/stripe/refund", content=body, headers=headers)
    assert answer.json()["amount_cents"] == 5010


async def test_only_an_admin_refunds(world: World) -> None:
    _, payment = await paid(world)
    for role in ("user", "service"):
        body = {"payment_id": payment}
        await world.ask("POST", "/stripe/refund", body, status=403, role=role)
    assert await world.rows("select 1 from refund_requests") == []


async def test_what_was_never_paid_is_not_given_back(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking, payment_type="deposit")
    refused = await refund(world, intent["id"], 409)
    assert "canceled" in refused["detail"]
    assert (await refund(world, "pi_unknown", 404))["code"] == "not_found"
    assert (await refund(world, "payment-123", 404))["code"] == "not_found"


async def test_a_payment_whose_events_were_lost_is_looked_up(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="deposit"))
    [intent] = (await world.at_stripe("GET", "/v1/payment_intents"))["data"]
    assert (await refund(world, intent["id"]))["amount_cents"] == 10_000


async def test_two_clicks_are_one_refund(world: World) -> None:
    _, payment = await paid(world)
    first = await refund(world, payment, amount_cents=1000)
    again = await refund(world, payment, 409, amount_cents=1000)
    assert again["refund"] == first["request_id"]
    world.clock.ahead += timedelta(seconds=61)
    await refund(world, payment, amount_cents=1000)


async def test_a_key_stands_for_one_refund(world: World) -> None:
    _, payment = await paid(world)

    async def send(key: str, amount: int) -> Any:
        headers = world.bearer("boss", "admin") | {"Idempotency-Key": key}
        body = {"payment_id": payment, "amount_cents": amount}
        return await world.api.post("/api/v1/stripe/refund", json=body, headers=headers)

    first, again = await send("k-1", 1000), await send("k-1", 1000)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["id"] == again.json()["id"]
    other = await send("k-1", 2000)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    second = await send("k-2", 1000)
    assert second.json()["id"] != first.json()["id"]
    assert len(await world.rows("select 1 from stripe.refunds")) == 2


async def test_the_same_key_at_once_is_in_flight_or_the_same(world: World) -> None:
    _, payment = await paid(world)
    headers = world.bearer("boss", "admin") | {"Idempotency-Key": "k"}
    body = {"payment_id": payment, "amount_cents": 1000}
    sent = [world.api.post("/api/v1/stripe/refund", json=body, headers=headers) for _ in range(8)]
    answers = await together(*sent)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {a.json()["id"] for a in answers if a.status_code == 200}.__len__() == 1
    assert all(a.headers["Retry-After"] for a in answers if a.status_code == 409)
    [made] = (await world.at_stripe("GET", "/v1/refunds"))["data"]
    assert made["amount"] == 1000


async def test_a_failed_refund_gives_its_amount_back(world: World) -> None:
    _, payment = await paid(world, card="pm_card_refundFail")
    made = await refund(world, payment)
    await world.settle()
    await world.converge()
    shown = await world.ask("GET", f"/stripe/refunds/{made['id']}", **ADMIN)
    assert shown["status"] == "failed"
    assert shown["failure_reason"]
    assert (await world.ask("GET", "/stripe/payments"))["data"][0]["status"] == "succeeded"
    world.clock.ahead += timedelta(seconds=61)
    assert (await refund(world, payment))["amount_cents"] == 10_000


async def test_a_pending_refund_is_reserved_until_it_has_arrived(world: World) -> None:
    _, payment = await paid(world, card="pm_card_pendingRefund")
    assert (await refund(world, payment, amount_cents=6000))["status"] == "pending"
    assert "4000" in (await refund(world, payment, 422, amount_cents=5000))["detail"]
    assert (await world.ask("GET", "/stripe/payments"))["data"][0]["status"] == "succeeded"
    await world.settle()
    await world.converge()
    assert (await world.ask("GET", "/stripe/refunds"))["data"][0]["status"] == "succeeded"


async def test_a_refund_made_in_the_dashboard_counts(world: World) -> None:
    _, payment = await paid(world)
    made = await world.at_stripe("POST", "/v1/refunds", payment_intent=payment, amount=4000)
    # not heard of yet: Stripe refuses what would be too much, and the amount is free again
    refused = await refund(world, payment, 422, amount_cents=7000)
    assert refused["code"] == "stripe_rejected"
    await world.converge()
    assert (await refund(world, payment))["amount_cents"] == 6000
    shown = await world.ask("GET", f"/stripe/refunds/{made['id']}")
    assert (shown["request_id"], shown["amount_cents"]) == (None, 4000)


async def test_another_customers_refund_is_not_there(world: World) -> None:
    _, payment = await paid(world)
    made = await refund(world, payment)
    await world.ask("GET", f"/stripe/refunds/{made['id']}", status=404, user="u-2")
    assert (await world.ask("GET", "/stripe/refunds", user="u-2"))["data"] == []


async def test_who_refunded_and_why_stays_written_down(world: World) -> None:
    _, payment = await paid(world)
    await refund(world, payment, reason="the cook was ill")
    [entry] = await world.rows("select * from audit_log where act like 'refund%'")
    assert (entry["actor"], entry["role"], entry["act"]) == ("boss", "admin", "refund.requested")
    assert (entry["subject"], entry["reason"]) == (payment, "the cook was ill")
    assert entry["request_id"]
    [opened] = await world.rows("select * from audit_log where act = 'payment.opened'")
    assert (opened["actor"], opened["role"]) == ("u-1", "user")
    assert '"amount": 10000' in opened["details"]
    for change in (
        "update audit_log set actor = 'x'",
        "delete from audit_log",
        "truncate audit_log",
    ):
        with pytest.raises(Exception, match="append-only"):
            await world.db.execute(change)
