"""Attacks on what gives money back and on Idempotency-Key: unclear answers, odd clocks, races."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import pytest

from converge.observing import (
    connect,
    give,
    intent_at_stripe,
    paid_at_stripe,
    priced_booking,
    refund_at_stripe,
    until_blocked,
)
from converge.test_refunds import PATH, ask, at_stripe, check, fault, finish, paid
from payments.core.principal import Role
from payments.domains.portal import ensure_configuration
from world import Json, World

LOST: Final[Json] = {"cut": True, "when": "after"}
REQUESTS: Final = "select state, stripe_id from refund_requests"
OPENING: Final = {
    "checkout-session": "/v1/checkout/sessions",
    "payment-intent": "/v1/payment_intents",
}


async def send(world: World, path: str, body: Json, key: str, role: Role = "user") -> Any:
    headers = world.bearer("u-1", role, "u-1@example.com") | {"Idempotency-Key": key}
    return await world.api.post(f"/api/v1/stripe/{path}", json=body, headers=headers)


async def post(world: World, content: str, **headers: str) -> Any:
    """A refund request as these very bytes."""
    headers |= world.bearer("boss", "admin") | {"Content-Type": "application/json"}
    return await world.api.post("/api/v1/stripe/refund", content=content, headers=headers)


async def work_at_once(world: World) -> None:
    """Let the worker see to open requests, without a word from a webhook."""
    await world.db.execute(
        "update stripe_events set not_before = now() where type = 'task' and done_at is null"
    )
    await world.work()


async def test_a_refusal_after_a_lost_answer_rejects_no_refund_that_was_made(
    world: World,
) -> None:
    payment = await paid(world)
    await fault(world, **LOST)
    await fault(world, status=401)
    answer = await ask(world, payment, 5000, "k")
    assert len(await at_stripe(world)) == 1
    assert answer.status_code in (200, 202), f"the refund was made: {answer.text}"


async def test_a_workers_refused_key_ends_no_reservation_whose_refund_was_made(
    world: World,
) -> None:
    payment = await paid(world)
    await fault(world, times=3, **LOST)
    assert (await ask(world, payment, 5000, "k")).status_code == 202
    await fault(world, status=401)
    await work_at_once(world)
    [request] = await world.rows(REQUESTS)
    assert request["state"] != "rejected"
    again = await ask(world, payment, 5000, "k")
    assert again.status_code in (200, 202), f"the refund was made: {again.text}"


async def test_a_replayed_refund_that_may_not_be_read_is_not_rejected(world: World) -> None:
    payment = await paid(world)
    await fault(world, **LOST)
    await fault(world, method="GET", path=f"{PATH}/", status=403)
    answer = await ask(world, payment, 5000, "k")
    assert answer.status_code in (200, 202), f"the refund was made: {answer.text}"
    assert await world.rows("select 1 from audit_log where act = 'refund.rejected'") == []


@pytest.mark.parametrize("later", [timedelta(), timedelta(hours=23, minutes=1)])
async def test_a_request_whose_outcome_may_not_be_listed_keeps_its_task(
    world: World, later: timedelta
) -> None:
    payment = await paid(world)
    await fault(world, status=500, when="after", times=30)
    await fault(world, method="GET", path=PATH, status=403, times=30)
    await ask(world, payment, 5000)
    world.clock.ahead += later
    await work_at_once(world)
    [request] = await world.rows(REQUESTS)
    waits = await world.rows(
        "select 1 from stripe_events where type = 'task' and not_before is not null"
    )
    assert request["state"] not in ("requested", "unknown") or waits, "reserved for ever"


async def test_while_stripe_fails_altogether_a_refund_is_outstanding(world: World) -> None:
    payment = await paid(world)
    await fault(world, status=500, when="after", times=3)
    await fault(world, method="GET", path=PATH, status=500, times=3)
    answer = await ask(world, payment, 5000, "k")
    assert answer.status_code == 202, answer.text
    await finish(world)
    assert len(await check(world, payment)) == 1


async def test_a_clock_ten_minutes_ahead_makes_no_second_refund(world: World) -> None:
    payment = await paid(world)
    world.clock.ahead += timedelta(minutes=10)
    await fault(world, status=500, when="after", times=3)
    assert (await ask(world, payment, 4000, "k")).status_code in (200, 202)
    await work_at_once(world)
    assert [refund["amount"] for refund in await at_stripe(world)] == [4000]


async def test_a_clock_ten_minutes_ahead_leaves_no_second_page_to_pay(world: World) -> None:
    booking = await priced_booking(world)
    world.clock.ahead += timedelta(minutes=10)
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    await fault(world, path=OPENING["checkout-session"], status=500, when="after", times=3)
    await send(world, "create-checkout-session", body, "k")
    await world.session(booking, payment_type="deposit")
    open_ = await world.at_stripe("GET", "/v1/checkout/sessions?status=open")
    assert len(open_["data"]) == 1


async def test_a_request_given_up_is_told_as_refused(world: World) -> None:
    payment = await paid(world)
    await fault(world, cut=True, times=3)
    assert (await ask(world, payment, 5000, "k")).status_code == 202
    world.clock.ahead += timedelta(hours=23, minutes=1)
    answer = await ask(world, payment, 5000, "k")
    assert answer.status_code == 409, answer.text
    assert (await ask(world, payment, 5000, "k")).status_code == 409


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_works_again_once_stripes_key_is_mended(world: World, status: int) -> None:
    payment = await paid(world)
    await fault(world, status=status)
    first = await ask(world, payment, 5000, "k")
    assert (first.status_code, first.json()["status"]) == (202, "unknown")
    again = await ask(world, payment, 5000, "k")
    assert again.status_code == 200, again.text


@pytest.mark.parametrize("form", OPENING)
async def test_a_key_opens_a_payment_after_an_error_of_stripes(world: World, form: str) -> None:
    booking = await priced_booking(world)
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    await fault(world, path=OPENING[form], status=500, times=3)
    assert (await send(world, f"create-{form}", body, "k")).status_code == 502
    again = await send(world, f"create-{form}", body, "k")
    assert again.status_code == 200, again.text


async def test_a_key_opens_a_payment_although_the_customer_was_deleted(world: World) -> None:
    booking = await priced_booking(world)
    opened = await world.session(booking, payment_type="deposit")
    [customer] = (await world.at_stripe("GET", "/v1/customers"))["data"]
    await world.at_stripe("POST", f"/v1/checkout/sessions/{opened['session_id']}/expire")
    await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    body = {"booking_id": booking["id"], "payment_type": "full"}
    answer = await send(world, "create-checkout-session", body, "k")
    assert answer.status_code == 200, answer.text


async def test_a_key_opens_the_portal_after_an_error_of_stripes(world: World) -> None:
    await ensure_configuration(world.ctx)
    path = "/v1/billing_portal/sessions"
    await fault(world, path=path, status=500, when="after", times=3)
    assert (await send(world, "portal-link", {}, "k")).status_code == 502
    again = await send(world, "portal-link", {}, "k")
    assert again.status_code == 200, again.text


async def test_a_key_opens_the_portal_whose_configuration_was_replaced(world: World) -> None:
    id, _ = await ensure_configuration(world.ctx)
    assert (await send(world, "portal-link", {}, "k")).status_code == 200
    await world.at_stripe("POST", f"/v1/billing_portal/configurations/{id}", active="false")
    await ensure_configuration(world.ctx)
    again = await send(world, "portal-link", {}, "k")
    assert again.status_code == 200, again.text


async def test_a_key_that_is_freed_while_it_is_claimed_is_no_crash(world: World) -> None:
    """The first request ends, having reserved nothing, between two statements of the second."""
    booking = await priced_booking(world)
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    await send(world, "create-payment-intent", body, "k")
    await world.db.execute("update idempotency_keys set subject = null")
    first = await connect(world)
    async with first.transaction():
        await first.execute("select 1 from idempotency_keys for update")
        second = asyncio.create_task(send(world, "create-payment-intent", body, "k"))
        await until_blocked(world, second, waiting=1)
        await first.execute("delete from idempotency_keys")
    await first.close()
    answer = await second
    assert answer.status_code in (200, 409), answer.text


async def test_a_deeply_nested_body_is_refused_with_a_key_too(world: World) -> None:
    nested = "[" * 300 + "]" * 300
    answer = await post(
        world, f'{{"payment_id": "pi_x", "reason": {nested}}}', **{"Idempotency-Key": "k"}
    )
    assert answer.status_code == 422, answer.text


async def test_one_key_for_two_payments_at_once_refunds_one(world: World) -> None:
    one = await paid(world)
    other = (await paid_at_stripe(world, await priced_booking(world)))["id"]
    await world.converge()
    answers = await asyncio.gather(
        *(ask(world, payment, 1000, "k") for payment in (one, other) * 4)
    )
    assert {answer.status_code for answer in answers} <= {200, 409, 422}
    assert len(await at_stripe(world)) == 1


async def test_a_payment_whose_success_is_unheard_of_is_refunded(world: World) -> None:
    booking = await priced_booking(world)
    intent = await world.intent(booking, payment_type="deposit")
    await world.confirm(intent)
    answer = await ask(world, intent["id"], 10_000)
    assert answer.status_code == 200, answer.text


async def test_what_a_webhook_says_before_the_answer_is_applied_is_kept(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking, "pm_card_refundFail")
    await world.converge()
    await fault(world, delay_seconds=0.5, when="after")
    asked = asyncio.create_task(ask(world, intent["id"], 10_000, "k"))
    while not await at_stripe(world):  # noqa: ASYNC110 - the sandbox has no event to await
        await asyncio.sleep(0.01)
    await world.settle()
    await world.converge()
    assert not asked.done()
    answer = await asked
    assert (answer.status_code, answer.json()["status"]) == (200, "failed"), answer.text
    assert (await ask(world, intent["id"], 10_000, "l")).status_code == 200


async def test_a_refund_without_a_status_counts(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    made = await refund_at_stripe(world, intent, amount=9000)
    await give(world, made | {"status": None})
    answer = await ask(world, intent["id"], 2000)
    assert answer.json()["code"] == "invalid_request", f"not our own refusal: {answer.text}"


@pytest.mark.parametrize(
    ("currency", "amount", "made"),
    [
        ("jpy", "500", [500]),
        ("jpy", "500.5", []),
        ("kwd", "1.230", [1230]),
        ("kwd", "1.235", []),
        ("usd", "\uff15\uff10.\uff10\uff10", []),
    ],
)
async def test_an_amount_has_the_decimals_and_the_digits_of_its_currency(
    world: World, currency: str, amount: str, made: list[int]
) -> None:
    intent = await intent_at_stripe(world, await priced_booking(world), currency=currency)
    await world.confirm(intent)
    await world.converge()
    answer = await post(world, f'{{"payment_id": "{intent["id"]}", "amount": "{amount}"}}')
    assert answer.status_code == (200 if made else 422), answer.text
    assert [refund["amount"] for refund in await at_stripe(world)] == made


async def test_only_what_was_captured_is_given_back(world: World) -> None:
    booking = await priced_booking(world)
    intent = await intent_at_stripe(world, booking, capture_method="manual")
    await world.confirm(intent)
    await world.converge()
    assert (await ask(world, intent["id"], 3000)).status_code == 409
    path = f"/v1/payment_intents/{intent['id']}/capture"
    await world.at_stripe("POST", path, amount_to_capture=3000)
    await world.converge()
    assert (await ask(world, intent["id"], 3001)).status_code == 422
    assert (await ask(world, intent["id"], 3000)).status_code == 200


async def test_a_disputed_payment_is_refused_and_leaves_nothing_reserved(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking, "pm_card_createDispute")
    await world.converge()
    answer = await ask(world, intent["id"], 3000)
    assert 400 <= answer.status_code < 500, answer.text
    assert {request["state"] for request in await world.rows(REQUESTS)} <= {"rejected"}


async def test_a_customer_reads_nothing_of_our_settings_or_remarks(world: World) -> None:
    booking = await priced_booking(world)
    await world.pay(await world.session(booking, payment_type="deposit"))
    await world.converge()
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    await fault(world, status=403)
    refund = {"payment_id": payment["id"], "reason": "we suspect fraud"}
    await world.ask("POST", "/stripe/refund", refund, status=202, role="admin")
    seen = str((await world.ask("GET", "/stripe/refunds"))["data"])
    assert "STRIPE_SECRET_KEY" not in seen
    assert "suspect" not in seen


async def test_a_cursor_lasts_when_the_request_becomes_a_refund(world: World) -> None:
    payment = await paid(world)
    await fault(world, times=3, **LOST)
    waiting = (await ask(world, payment, 5000, "k")).json()
    await finish(world)
    path = f"/stripe/refunds?starting_after={waiting['id']}"
    assert (await world.ask("GET", path, role="admin"))["data"] == []


async def test_who_opens_anothers_portal_stays_written_down(world: World) -> None:
    await ensure_configuration(world.ctx)
    await world.ask("POST", "/stripe/portal-link", {"user_id": "u-2"}, role="admin", user="boss")
    assert await world.rows("select 1 from audit_log where actor = 'boss'")
