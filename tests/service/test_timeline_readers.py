"""Timelines: who reads what of them, and what a person who supports customers can rely on."""

from converge.observing import paid_at_stripe, priced_booking
from core.test_cli import run
from service.test_timeline import ADMIN, PRICED, texts, timeline
from world import SECRET, Json, World


async def test_who_takes_a_customer_over_reads_no_address_of_the_one_before(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_chargeDeclined", None)
    await world.converge()
    [(customer,)] = await world.rows("select stripe_customer_id from customer_links")
    taken = {"stripe_customer_id": customer, "take_over": True}
    await world.ask("PUT", "/customers/u-2", taken, **ADMIN)
    [told] = texts(await timeline(world, intent["id"], user="u-2"), "message")
    assert told.startswith("payment_failed to the customer: ")
    [told] = texts(await timeline(world, booking["id"], user="u-1"), "message")
    assert told.startswith("payment_failed to u***@example.com: ")
    for id in (intent["id"], booking["id"]):
        found = await timeline(world, id, user="u-2" if id == intent["id"] else "u-1")
        assert not [text for text in texts(found, "event") if text.startswith("Stripe was to be")]
    theirs = f"/stripe/payments/{intent['id']}/timeline"
    await world.ask("GET", theirs, status=404, user="u-1")


async def test_a_booking_is_found_by_a_reference_that_looks_like_a_request(world: World) -> None:
    reference = "7f0e0f5e-3a52-4c0e-9a54-7a8d8a3a3c11"
    priced = PRICED | {"reference": reference}
    booking = await world.ask("POST", "/bookings", priced, status=201, role="service")
    for who in (ADMIN, {"user": "u-1"}):
        found = await timeline(world, reference, **who)
        assert found["explanation"].startswith(f"Booking {booking['id']} is pending: $0.00 of")


async def test_what_has_ended_is_told_as_ended(world: World) -> None:
    booking = await priced_booking(world)
    made = {
        "losing_evidence": await paid_at_stripe(world, booking, "pm_card_createDispute"),
        "winning_evidence": await paid_at_stripe(world, booking, "pm_card_createDispute"),
    }
    await world.settle()
    await world.converge()
    disputed = await timeline(world, made["losing_evidence"]["id"])
    assert texts(disputed, "effect")[-1] == (
        "booking stays confirmed: $200.00 of $440.00 received, disputed"
    )
    for dispute in (await world.at_stripe("GET", "/v1/disputes"))["data"]:
        [given] = [name for name, one in made.items() if one["id"] == dispute["payment_intent"]]
        form: Json = {"evidence[uncategorized_text]": given, "submit": "true"}
        await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    await world.settle()
    await world.converge()
    lost, won = [(await timeline(world, one["id"]))["explanation"] for one in made.values()]
    assert lost == (
        "$100.00 were received; the customer's dispute over $100.00 (fraudulent) was lost, and "
        "the bank has taken the money back."
    )
    assert won == (
        "$100.00 were received; the customer's dispute over $100.00 (fraudulent) was won, and "
        "the money stays."
    )


async def test_a_page_that_expired_is_why_its_payment_was_canceled(world: World) -> None:
    session = await world.session(await world.book(), payment_type="deposit")
    await world.pay(session, "pm_card_chargeDeclined", 402)
    await world.at_stripe("POST", f"/v1/checkout/sessions/{session['session_id']}/expire")
    await world.converge()
    assert (await timeline(world, session["session_id"]))["explanation"] == (
        "It was canceled before $100.00 were received, and can no longer be paid; its page expired."
    )


async def test_what_people_wrote_stays_on_its_line_and_orders_nothing(world: World) -> None:
    intent = await paid_at_stripe(world, await priced_booking(world))
    await world.converge()
    body = {"payment_id": intent["id"], "amount_cents": 100, "reason": "cold\nfood\x1b[2J"}
    await world.ask("POST", "/stripe/refund", body, **ADMIN)
    assert world.settings.database_url is not None
    url = world.settings.database_url.get_secret_value()
    said = await run("explain", intent["id"], DATABASE_URL=url, STRIPE_WEBHOOK_SECRET=SECRET)
    assert "refund.requested by admin boss: cold food [2J" in said.stdout
    assert "\x1b" not in said.stdout
