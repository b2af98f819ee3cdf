"""Timelines: what happened to a payment, and one sentence why it is in its state."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest_asyncio
from sqlalchemy import event

from converge.observing import (
    connect,
    intent_at_stripe,
    paid_at_stripe,
    priced_booking,
    refund_at_stripe,
    until_blocked,
)
from converge.test_faults import fault
from core.test_cli import run
from service.crowd import CROWD
from world import SECRET, Database, Json, World

ADMIN: Json = {"role": "admin", "user": "boss"}
ROWS = 10_000
PRICED = {
    "reference": "dinner-7", "user_id": "u-1", "total_cents": 44_000, "deposit_cents": 10_000
}  # fmt: skip
NAMED = (
    "name a booking by its id or reference, a refund request by its id, or an object of Stripe's"
)


async def timeline(world: World, id: str, **who: Any) -> Json:
    return await world.ask("GET", f"/stripe/payments/{id}/timeline", **(who or ADMIN))


def texts(found: Json, *kinds: str) -> list[str]:
    return [entry["text"] for entry in found["data"] if entry["kind"] in kinds or not kinds]


async def test_a_payment_tells_what_was_opened_asked_sent_done_and_told(world: World) -> None:
    booking = await world.book()
    session = await world.session(booking, payment_type="deposit")
    await world.pay(session)
    await world.converge()
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    body = {"payment_id": payment["id"], "amount_cents": 100, "reason": "the cook was ill"}
    refund = await world.ask("POST", "/stripe/refund", body, **ADMIN)
    await world.converge()
    found = await timeline(world, payment["id"])
    assert found["explanation"] == "$1.00 of the $100.00 that were received were given back."
    told = [(entry["kind"], entry["text"].partition(" after ")[0]) for entry in found["data"]]
    begun = ("payment", f"a payment of $100.00 was begun for booking:{booking['id']}")
    assert begun in told  # somewhere: Stripe's times are whole seconds
    assert [one for one in told if one[0] not in ("event", "payment")] == [
        ("page", "a Checkout page (deposit) was opened"),
        ("act", "payment.opened by user u-1"),
        ("call", "POST /v1/checkout/sessions: 200"),
        ("page", "a Checkout page (deposit) was closed"),
        ("effect", "booking was pending, and is confirmed: $100.00 of $440.00 received"),
        ("refund", "a refund of $1.00 was requested; its state is succeeded"),
        ("refund", "Stripe made a refund of $1.00; its state is succeeded"),
        ("act", "refund.requested by admin boss: the cook was ill"),
        ("call", "POST /v1/refunds: 200"),
        (
            "effect",
            "booking was confirmed, and is pending: $100.00 of $440.00 received, $1.00 refunded",
        ),
    ]
    arrived = [text.partition(" arrived; it was processed ")[0] for text in texts(found, "event")]
    assert sorted(arrived) == [
        "checkout.session.completed", "payment_intent.created", "payment_intent.succeeded",
        "refund.created",
    ]  # fmt: skip
    call = next(e for e in found["data"] if e["text"].startswith("POST /v1/refunds"))
    assert call["id"].startswith("req_")
    assert call["facts"]["idempotency_key"] == f"refund:{refund['request_id']}:1"
    acts = [entry for entry in found["data"] if entry["kind"] == "act"]
    assert call["facts"]["request_id"] == acts[-1]["facts"]["request_id"]


async def test_every_state_of_a_payment_is_explained(world: World) -> None:
    booking = await priced_booking(world, total=1_000_000)
    manual = await intent_at_stripe(world, booking, capture_method="manual")
    states = {
        "requires_payment": await intent_at_stripe(world, booking),
        "to be confirmed": await paid_at_stripe(world, booking, "pm_card_threeDSecure2Required"),
        "processing": await paid_at_stripe(world, booking, "pm_usBankAccount"),
        "requires_capture": await world.confirm(manual),
        "succeeded": await paid_at_stripe(world, booking),
        "partially_refunded": await paid_at_stripe(world, booking),
        "refunded": await paid_at_stripe(world, booking),
        "failed": await intent_at_stripe(world, booking),
        "canceled": await intent_at_stripe(world, booking),
        "disputed": await paid_at_stripe(world, booking, "pm_card_createDispute"),
        "refund fails": await paid_at_stripe(world, booking, "pm_card_refundFail"),
    }
    await refund_at_stripe(world, states["partially_refunded"], amount="2500")
    await refund_at_stripe(world, states["refunded"])
    await refund_at_stripe(world, states["refund fails"])
    await world.confirm(states["failed"], "pm_card_visa_chargeDeclinedInsufficientFunds", None)
    await world.at_stripe("POST", f"/v1/payment_intents/{states['canceled']['id']}/cancel")
    await world.converge()
    debit = states["processing"]["id"]
    said = {"processing": (await timeline(world, debit))["explanation"]}
    await world.settle()
    await world.converge()
    for name in states.keys() - said:
        said[name] = (await timeline(world, states[name]["id"]))["explanation"]
    dispute = said.pop("disputed")
    assert dispute.startswith(
        "$100.00 were received; the customer disputes $100.00 (fraudulent), and Stripe says "
        "needs_response; answer until "
    )
    assert said == {
        "requires_payment": "It waits for the customer to pay $100.00.",
        "to be confirmed": "The customer has begun to pay $100.00 and must confirm it with their "
        "bank.",
        "processing": "The payment of $100.00 is under way at the customer's bank, and Stripe "
        "will tell how it ended.",
        "requires_capture": "$100.00 are held on the customer's card until somebody captures or "
        "cancels the payment in Stripe's dashboard.",
        "succeeded": "$100.00 were received.",
        "partially_refunded": "$25.00 of the $100.00 that were received were given back.",
        "refunded": "All of the $100.00 that were received were given back.",
        "failed": "The last attempt to pay $100.00 failed with insufficient_funds (Your card has "
        "insufficient funds), and the customer may try again.",
        "canceled": "It was canceled before $100.00 were received, and can no longer be paid.",
        "refund fails": "$100.00 were received; a refund of $100.00 failed "
        "(expired_or_canceled_card) and came back.",
    }


async def test_every_kind_of_id_leads_to_the_payment_and_others_are_named(world: World) -> None:
    booking = await world.ask(
        "POST", "/bookings", PRICED,
        status=201, role="service",
    )  # fmt: skip
    session = await world.session(booking, payment_type="deposit")
    await world.pay(session, "pm_card_createDispute")
    await world.settle()
    await world.converge()
    await world.deliver({**(await world.events())[-1], "id": "evt_of_late"})
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    refunded = {"payment_id": payment["id"], "amount_cents": 100}
    await fault(world, method="POST", path="/v1/refunds", status=400)
    await world.ask("POST", "/stripe/refund", refunded, status=422, **ADMIN)
    [(request,)] = await world.rows("select id::text from refund_requests")
    [(sent,)] = await world.rows("select id from stripe_events where type ~ 'intent.succeeded'")
    whole = await timeline(world, payment["id"])
    assert "400" in texts(whole, "call")[-1]
    for id in (session["session_id"], dispute["id"], request, sent):
        found = await timeline(world, id)
        assert found["explanation"] == whole["explanation"], id
        assert {e["id"] for e in found["data"]} == {e["id"] for e in whole["data"]}, id
    for id in (booking["id"], "dinner-7", f"booking:{booking['id']}"):
        found = await timeline(world, id)
        assert [one["id"] for one in found["payments"]] == [payment["id"]]
        assert found["payments"][0]["explanation"] == whole["explanation"]
        assert found["explanation"].startswith(f"Booking {booking['id']} is confirmed: $100.00 of")
    for id in ("pi_none", "cs_none", "re_none", "dp_none", "evt_none", "dinner-8", "x:1"):
        refused = await world.ask("GET", f"/stripe/payments/{id}/timeline", status=404, **ADMIN)
        assert NAMED in refused["detail"]


async def test_users_see_their_own_without_particulars(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_chargeDeclined", None)
    await world.converge()
    [event] = await world.rows("select id from stripe_events where type ~ 'payment_failed'")
    await world.db.execute("update stripe_events set outcome = 'dead', error = 'inner workings'")
    mine = await timeline(world, intent["id"], user="u-1")
    assert {entry["kind"] for entry in mine["data"]} == {"page", "payment", "event", "message"}
    assert all(entry["facts"] == {} for entry in mine["data"])
    assert "inner workings" not in json.dumps(mine)
    assert texts(mine, "message") == [
        text for text in texts(mine, "message") if text.startswith("payment_failed to u***@")
    ]
    for id in (intent["id"], booking["id"], event["id"]):
        theirs = f"/stripe/payments/{id}/timeline"
        await world.ask("GET", theirs, status=404, user="u-2")
    short = await world.ask("GET", f"/stripe/payments/{intent['id']}/timeline?limit=2")
    assert (short["data"], short["has_more"]) == (mine["data"][-2:], True)


async def test_news_that_wait_fail_or_were_given_up_are_in_the_sentence(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    [created, succeeded] = await world.events(type="payment_intent.*")
    await world.deliver(succeeded)
    found = await timeline(world, intent["id"])
    news = f"an event about it (payment_intent.succeeded, {succeeded['id']})"
    unknown = f"{intent['id']} leads to no payment that is stored here; "
    assert found["explanation"] == f"{unknown}{news} waits for a worker."
    await world.converge([created])
    failed = "update stripe_events set done_at = null, error = 'ValueError: ann@example.com.', "
    retried = "attempts = 3, outcome = null, not_before = '2031-01-01 10:00Z'"
    await world.db.execute(f"{failed} {retried} where id = $1", succeeded["id"])
    assert (await timeline(world, intent["id"]))["explanation"] == (
        f"$100.00 were received; {news} failed and is tried again at 2031-01-01 10:00 UTC because "
        "ValueError: a***@example.com."
    )
    dead = "attempts = 12, outcome = 'dead', not_before = null"
    await world.db.execute(f"{failed} {dead} where id = $1", succeeded["id"])
    said = (await timeline(world, intent["id"]))["explanation"]
    assert f"{news} was given up after 12 attempts because ValueError" in said


async def test_a_page_says_until_when_it_is_open(world: World) -> None:
    booking = await world.book()
    session = await world.session(booking, payment_type="deposit")
    [(expires,)] = await world.rows("select expires_at from stripe.checkout_sessions")
    until = f"{expires:%Y-%m-%d %H:%M} UTC"
    page = await timeline(world, session["session_id"])
    assert page["explanation"] == (
        f"{session['session_id']} is a page that can be paid until {until}."
    )
    whole = await timeline(world, booking["id"])
    assert whole["explanation"] == (
        f"Booking {booking['id']} is pending: $0.00 of $440.00 received; no payment for it has "
        f"been begun; a page is open until {until} ({session['session_id']})."
    )


async def test_a_lost_answer_is_told_and_so_is_the_replay_that_found_it(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    await fault(world, method="POST", path="/v1/refunds", cut=True, when="after", times=3)
    body = {"payment_id": intent["id"], "amount_cents": 500}
    asked = await world.ask("POST", "/stripe/refund", body, status=202, **ADMIN)
    before = await timeline(world, asked["id"])
    assert before["explanation"] == (
        "$100.00 were received; our request to give $5.00 back has no answer from Stripe yet, and "
        "a worker finds out."
    )
    lost = texts(before, "call")
    assert len(lost) == 3
    assert all(text.startswith("POST /v1/refunds: no answer ") for text in lost)
    await world.db.execute("update stripe_events set not_before = now() where type = 'task'")
    await world.work()
    after = await timeline(world, intent["id"])
    assert after["explanation"] == "$5.00 of the $100.00 that were received were given back."
    [again, *_] = [e for e in after["data"] if e["kind"] == "call" and e["facts"]["replayed"]]
    assert "replaying req_" in again["text"]


async def test_a_call_that_cannot_be_noted_is_made_all_the_same(world: World) -> None:
    booking = await world.book()
    await world.db.execute("alter table stripe_calls rename to put_away")
    try:
        session = await world.session(booking, payment_type="deposit")
        await world.ctx.calls.written()
    finally:
        await world.db.execute("alter table put_away rename to stripe_calls")
    await world.pay(session)
    await world.converge()
    assert (await world.booking(booking))["state"] == "confirmed"
    found = await timeline(world, booking["id"])
    assert not [text for text in texts(found, "call") if text.startswith("POST")]


async def test_a_call_that_the_database_missed_is_written_with_the_next(world: World) -> None:
    async def refunds_of(payment: str) -> None:
        await world.ctx.stripe.call(
            lambda c: c.v1.refunds.list_async({"payment_intent": payment}),
        )

    beside = await connect(world)
    async with beside.transaction():
        await beside.execute("lock table stripe_calls")
        await refunds_of("pi_1A")
        writing = asyncio.create_task(world.ctx.calls.written())
        await until_blocked(world, writing, waiting=1)
        await beside.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock'"
        )
        await writing
    await beside.close()
    await refunds_of("pi_2A")
    await world.ctx.calls.written()
    noted = await world.rows("select payment_intent from stripe_calls order by at")
    assert [row["payment_intent"] for row in noted][-2:] == ["pi_1A", "pi_2A"]


async def test_a_page_of_a_list_names_nothing_and_is_not_noted(world: World) -> None:
    await world.ctx.stripe.call(lambda c: c.v1.refunds.list_async({"limit": 1}))
    await world.ctx.stripe.call(lambda c: c.v1.refunds.list_async({"payment_intent": "pi_1A"}))
    await world.ctx.calls.written()
    noted = await world.rows("select payment_intent from stripe_calls where path = '/v1/refunds'")
    assert [tuple(row) for row in noted] == [("pi_1A",)]


async def test_the_command_tells_the_same_in_lines_and_as_json(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    assert world.settings.database_url is not None
    said = partial(
        run,
        "explain",
        DATABASE_URL=world.settings.database_url.get_secret_value(),
        STRIPE_SECRET_KEY="sk_test_sandbox",
        STRIPE_WEBHOOK_SECRET=SECRET,
    )
    found = await timeline(world, intent["id"])
    lines = (await said(intent["id"])).stdout.splitlines()
    assert [line.split("  ")[-2].strip() for line in lines[:-2]] == texts(found)
    assert lines[-1] == found["explanation"] == "$100.00 were received."
    assert json.loads((await said(booking["id"], "--json")).stdout)["payments"] == [
        {"id": intent["id"], "status": "succeeded", "explanation": "$100.00 were received."}
    ]
    assert "(the newest 1; more with --limit)" in (await said(intent["id"], "--limit", "1")).stdout
    assert NAMED in str((await said("nonsense")).exception)


@pytest_asyncio.fixture
async def crowded(world: World, database: Database) -> AsyncIterator[World]:
    """A world with many payments of other people, and statistics that say so."""
    await world.db.execute(CROWD.format(n=ROWS))
    await world.db.execute("analyze")
    yield world
    await database.empty()
    await world.db.execute("vacuum analyze")


@contextmanager
def statements(world: World) -> Iterator[list[tuple[str, Any]]]:
    """What the service asks of the database."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    engine = world.ctx.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


async def test_a_timeline_reads_no_table_from_end_to_end(crowded: World) -> None:
    with statements(crowded) as asked:
        for id in ("pi_7", "cs_7", "re_7", "dp_7", "evt_7", "bk_7"):
            found = await timeline(crowded, id)
            kinds = {entry["kind"] for entry in found["data"]}
            assert kinds >= {"call", "event", "message", "act", "page", "refund", "dispute"}, id
            await timeline(crowded, id, user="u-7")
        for id in ("sub_7", "in_7", "pi_7"):
            told = {entry["kind"] for entry in (await timeline(crowded, id))["data"]}
            assert told >= {"invoice", "credits", "payment"}, id
            await timeline(crowded, id, user="u-7")
    for statement, parameters in asked:
        plan = await crowded.rows(f"explain {statement}", *parameters)
        assert not [line for (line,) in plan if "Seq Scan" in line], (statement, plan)
