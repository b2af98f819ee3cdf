"""Stripe's page for a booking: what may be asked for, what is answered, what Stripe is told."""

from datetime import timedelta
from typing import Any

import pytest

from world import BOOKING, DEPOSIT, TOTAL, Json, World

PATH = "/stripe/create-checkout-session"
BALANCE = TOTAL - DEPOSIT


def items(*amounts: int) -> Json:
    lines = [{"name": f"Part {n}", "amount": a, "quantity": 1} for n, a in enumerate(amounts)]
    return {"line_items": lines}


async def refused(world: World, booking: Json, status: int = 422, **body: Any) -> str:
    wanted = {"booking_id": booking["id"], **body}
    answer = await world.ask("POST", PATH, wanted, status=status)
    return str(answer["detail"])


async def pay_deposit(world: World, booking: Json) -> None:
    await world.pay(await world.session(booking, payment_type="deposit"))
    await world.converge()


async def test_the_answer_says_where_to_go_and_what_it_is_for(world: World) -> None:
    booking = await world.book()
    session = await world.session(booking)
    at_stripe = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert session["url"] == session["checkout_url"] == at_stripe["url"]
    assert session == {
        "session_id": at_stripe["id"],
        "url": at_stripe["url"],
        "checkout_url": at_stripe["url"],
        "expires_at": session["expires_at"],
        "booking_id": booking["id"],
        "reference": f"booking:{booking['id']}",
        "payment_type": "deposit",
        "amount_cents": DEPOSIT,
        "currency": "usd",
    }


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_the_body_of_the_document_works_as_it_is_written(world: World, prefix: str) -> None:
    booking = {**BOOKING, "reference": "booking-123", "user_id": "u-1"}
    await world.ask("POST", "/bookings", booking, status=201, role="service")
    body = {
        "booking_id": "booking-123",
        "line_items": [{"name": "Booking Deposit", "amount": 10000, "quantity": 1}],
        "mode": "payment",
    }
    answer = await world.api.post(prefix + PATH, json=body, headers=world.bearer())
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment_type"] == "deposit"
    id = answer.json()["session_id"]
    lines = await world.at_stripe("GET", f"/v1/checkout/sessions/{id}/line_items")
    assert [(line["description"], line["amount_total"]) for line in lines["data"]] == [
        ("Booking Deposit", 10000)
    ]


ASKED: list[tuple[Json, str, int]] = [
    ({}, "deposit", DEPOSIT),
    ({"payment_type": "deposit"}, "deposit", DEPOSIT),
    ({"payment_type": "full"}, "full", TOTAL),
    (items(DEPOSIT), "deposit", DEPOSIT),
    (items(4000, 6000), "deposit", DEPOSIT),
    (items(TOTAL), "full", TOTAL),
    ({"line_items": [{"name": "Guest", "amount_cents": 5500, "quantity": 8}]}, "full", TOTAL),
    ({"payment_type": "full", **items(TOTAL)}, "full", TOTAL),
]


async def test_the_purpose_or_the_sum_says_what_is_paid(world: World) -> None:
    booking = await world.book()
    for asked, purpose, amount in ASKED:
        session = await world.session(booking, **asked)
        assert (session["payment_type"], session["amount_cents"]) == (purpose, amount), asked
        path = f"/v1/checkout/sessions/{session['session_id']}"
        assert (await world.at_stripe("GET", path))["amount_total"] == amount


async def test_after_the_deposit_comes_the_balance(world: World) -> None:
    booking = await world.book()
    assert "deposit" in await refused(world, booking, 409, payment_type="balance")
    await pay_deposit(world, booking)
    assert "deposit" in await refused(world, booking, 409, payment_type="deposit")
    for asked in ({}, {"payment_type": "balance"}, items(BALANCE)):
        session = await world.session(booking, **asked)
        assert (session["payment_type"], session["amount_cents"]) == ("balance", BALANCE)
    full = await world.session(booking, payment_type="full")
    assert (full["payment_type"], full["amount_cents"]) == ("full", BALANCE)


async def test_a_sum_that_is_not_due_is_answered_with_both_figures(world: World) -> None:
    booking = await world.book()
    for sent in (9999, TOTAL + 1, 1):
        detail = await refused(world, booking, **items(sent))
        assert all(str(figure) in detail for figure in (sent, DEPOSIT, TOTAL))


async def test_a_sum_must_be_that_of_the_purpose(world: World) -> None:
    detail = await refused(world, await world.book(), payment_type="deposit", **items(TOTAL))
    assert str(TOTAL) in detail
    assert str(DEPOSIT) in detail


UNASKABLE: list[tuple[Json, str]] = [
    ({"line_items": []}, "line_items"),
    ({"line_items": [{"name": "x", "amount": 100.0}]}, "amount"),
    ({"line_items": [{"name": "x", "amount": "100"}]}, "amount"),
    ({"line_items": [{"name": "x", "amount": 0}]}, "amount"),
    ({"line_items": [{"name": "x", "amount": -DEPOSIT}]}, "amount"),
    ({"line_items": [{"name": "x", "amount": 10**12}]}, "amount"),
    ({"line_items": [{"name": "", "amount": DEPOSIT}]}, "name"),
    ({"line_items": [{"amount": DEPOSIT}]}, "name"),
    ({"line_items": [{"name": "x", "amount": DEPOSIT, "quantity": 0}]}, "quantity"),
    ({"line_items": [{"name": "x", "amount": DEPOSIT, "quantity": 1.0}]}, "quantity"),
    ({"line_items": [{"name": "x", "amount": DEPOSIT, "price": "p"}]}, "price"),
    ({"line_items": [{"name": "x\x00", "amount": DEPOSIT}]}, "name"),
    ({"line_items": "x"}, "line_items"),
    ({"mode": "subscription"}, "mode"),
    ({"payment_type": "gift"}, "payment_type"),
    ({"payment_type": "addon"}, "amount"),
    ({"amount": DEPOSIT}, "amount"),
    ({"price": "price_1"}, "price"),
    ({"reference": "booking:x"}, "reference"),
    ({"booking_id": None}, "booking_id"),
    ({"booking_id": 5}, "booking_id"),
    ({"success_url": 5}, "success_url"),
]


async def test_what_cannot_be_asked_for_is_refused_by_name(world: World) -> None:
    booking = await world.book()
    missed = []
    for wrong, field in UNASKABLE:
        body = {"booking_id": booking["id"], **wrong}
        answer = await world.api.post(f"/api/v1{PATH}", json=body, headers=world.bearer())
        if answer.status_code != 422 or field not in answer.json()["detail"]:
            missed.append(f"{wrong}: {answer.text}")
    assert missed == []
    assert await world.rows("select id from open_payables") == []


async def test_an_addon_is_priced_by_a_service_and_not_by_a_user(world: World) -> None:
    booking = await world.book()
    detail = await refused(world, booking, payment_type="addon", **items(2500))
    assert "leave the amount out" not in detail  # that would be refused too
    wanted = {"booking_id": booking["id"], "payment_type": "addon", **items(2500)}
    session = await world.ask("POST", PATH, wanted, role="service", user="shop")
    assert (session["payment_type"], session["amount_cents"]) == ("addon", 2500)
    await pay_deposit(world, booking)
    await world.pay(session)
    await world.converge()
    now = await world.booking(booking)
    assert (now["total_cents"], now["due_cents"]) == (TOTAL + 2500, BALANCE)


async def test_a_service_may_name_a_part_and_no_more_than_is_due(world: World) -> None:
    booking = await world.book()
    wanted = {"booking_id": booking["id"], "payment_type": "full"}
    for amount in (TOTAL + 1, 49):
        await world.ask("POST", PATH, wanted | items(amount), status=422, role="service")
    session = await world.ask("POST", PATH, wanted | items(20000), role="service", user="shop")
    await world.pay(session)
    await world.converge()
    now = await world.booking(booking)
    assert (now["paid_cents"], now["due_cents"], now["state"]) == (20000, 24000, "confirmed")


async def test_asking_again_gives_the_same_page_and_one_session_at_stripe(world: World) -> None:
    booking = await world.book()
    first = await world.session(booking)
    assert await world.session(booking) == first
    assert await world.session(booking, payment_type="deposit") == first
    listed = await world.at_stripe("GET", "/v1/checkout/sessions")
    assert [session["id"] for session in listed["data"]] == [first["session_id"]]


@pytest.mark.parametrize(
    "other",
    [
        {"payment_type": "full"},
        items(4000, 6000),
        {"success_url": "https://shop.example/thanks"},
        {"cancel_url": "https://admin.example/back"},
    ],
    ids=str,
)
async def test_asking_for_something_else_closes_the_old_page(world: World, other: Json) -> None:
    booking = await world.book()
    old = await world.session(booking, payment_type="deposit")
    new = await world.session(booking, **{"payment_type": "deposit", **other})
    assert new["session_id"] != old["session_id"]
    listed = await world.at_stripe("GET", "/v1/checkout/sessions")
    assert {session["id"]: session["status"] for session in listed["data"]} == {
        old["session_id"]: "expired",
        new["session_id"]: "open",
    }


async def test_a_page_takes_the_place_of_an_intent_and_the_other_way_round(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    session = await world.session(booking)
    found = await world.at_stripe("GET", f"/v1/payment_intents/{intent['id']}")
    assert found["status"] == "canceled"
    await world.intent(booking)
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert found["status"] == "expired"


async def test_what_is_paid_cannot_be_paid_again(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="full"))
    await world.converge()
    for purpose in ("deposit", "balance", "full", None):
        assert "paid" in await refused(world, booking, 409, payment_type=purpose)


async def test_a_page_that_was_just_paid_is_not_opened_twice_before_its_event_has_come(
    world: World,
) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="full"))
    answer = await world.api.post(
        f"/api/v1{PATH}",
        json={"booking_id": booking["id"], "payment_type": "full"},
        headers=world.bearer(),
    )
    assert answer.status_code == 409, answer.text
    listed = await world.at_stripe("GET", "/v1/checkout/sessions")
    assert [session["status"] for session in listed["data"]] == ["complete"]


async def test_while_a_debit_is_processed_nothing_more_is_asked_for(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="full"), "pm_usBankAccount")
    await world.converge()
    assert "processed" in await refused(world, booking, 409, payment_type="full")
    assert (await world.booking(booking))["processing_cents"] == TOTAL
    await world.settle()
    await world.converge()
    assert (await world.booking(booking))["state"] == "paid"


async def test_an_unknown_thing_cannot_be_paid(world: World) -> None:
    for reference in ("gift:1", "x", ":"):
        await world.ask("POST", PATH, {"reference": reference}, status=404)
    for id in ("bk_none", "", "../bookings"):
        await world.ask("POST", PATH, {"booking_id": id}, status=404)


async def test_a_reference_names_the_booking_as_well(world: World) -> None:
    booking = await world.book()
    by_id = await world.session(booking)
    reference = {"reference": f"booking:{booking['id']}"}
    assert await world.ask("POST", PATH, reference) == by_id


async def test_stripe_is_told_what_makes_the_charge_recognisable(world: World) -> None:
    booking = await world.ask("POST", "/bookings", BOOKING, status=201)
    session = await world.session(booking, payment_type="deposit")
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    reference = f"booking:{booking['id']}"
    expected = {
        "app": "payments",
        "reference": reference,
        "booking_id": booking["id"],
        "payment_type": "deposit",
    }
    assert expected.items() <= found["metadata"].items()
    assert found["client_reference_id"] == reference

    await world.pay(session)
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    intent = await world.at_stripe("GET", f"/v1/payment_intents/{found['payment_intent']}")
    assert expected.items() <= intent["metadata"].items()
    assert reference in intent["description"]
    assert intent["receipt_email"] == "u-1@example.com"
    suffix = intent["statement_descriptor_suffix"]
    assert suffix.isalnum()
    assert any(character.isalpha() for character in suffix)
    assert len(suffix) <= 10
    customer = await world.at_stripe("GET", f"/v1/customers/{intent['customer']}")
    assert (customer["email"], customer["metadata"]["user_id"]) == ("u-1@example.com", "u-1")


async def test_the_booked_user_pays_whoever_opens_the_page(world: World) -> None:
    body = {**BOOKING, "user_id": "u-9", "email": "nine@example.com"}
    booking = await world.ask("POST", "/bookings", body, status=201, role="service", user="shop")
    wanted = {"booking_id": booking["id"]}
    session = await world.ask("POST", PATH, wanted, role="service", user="shop")
    mine = await world.ask("POST", PATH, wanted, user="u-9")
    assert mine["session_id"] == session["session_id"]
    [link] = await world.rows("select user_id from customer_links")
    assert link["user_id"] == "u-9"


async def test_a_deleted_customer_is_replaced(world: World) -> None:
    booking = await world.book()
    await pay_deposit(world, booking)
    [old] = await world.rows("select stripe_customer_id from customer_links")
    await world.at_stripe("DELETE", f"/v1/customers/{old[0]}")
    session = await world.session(booking)
    query = "select stripe_customer_id from customer_links where replaced_at is null"
    [new] = await world.rows(query)
    assert new[0] != old[0]
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert found["customer"] == new[0]
    earlier = await world.ask("GET", "/stripe/payments")
    assert [payment["payment_type"] for payment in earlier["data"]] == ["deposit"]


async def test_an_expired_page_is_replaced_by_a_new_one(world: World) -> None:
    booking = await world.book()
    old = await world.session(booking)
    await world.at_stripe("POST", f"/v1/checkout/sessions/{old['session_id']}/expire")
    new = await world.session(booking)
    assert new["session_id"] != old["session_id"]
    world.clock.ahead = timedelta(days=3)
    assert (await world.session(booking))["session_id"] == new["session_id"]


async def test_an_email_that_stripe_refuses_is_refused_at_the_booking(world: World) -> None:
    for email in ("no address", "a@b@c", "@"):
        body = {**BOOKING, "user_id": "u-1", "email": email}
        await world.ask("POST", "/bookings", body, status=422, role="service")
