"""Disputes: shown on the payment and what it paid for, and nothing is due again by them."""

from world import DEPOSIT, TOTAL, Json, World

FEE = 1500


async def paid(world: World, card: str) -> tuple[Json, Json]:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, card)
    await world.settle()
    await world.converge()
    return booking, intent


async def detail(world: World, intent: Json, **who: str) -> Json:
    return await world.ask("GET", f"/stripe/payments/{intent['id']}", **who)  # type: ignore[arg-type]  # a Role


async def answer(world: World, words: str) -> None:
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    form: Json = {"evidence[uncategorized_text]": words, "submit": "true"}
    await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    await world.settle()
    await world.converge()


async def test_a_dispute_is_shown_on_its_payment_and_booking(world: World) -> None:
    booking, intent = await paid(world, "pm_card_createDispute")
    payment = await detail(world, intent)
    assert (payment["disputed"], payment["status"]) == (True, "succeeded")
    [dispute] = payment["disputes"]
    assert (dispute["status"], dispute["reason"]) == ("needs_response", "fraudulent")
    assert (dispute["amount_cents"], dispute["currency"]) == (DEPOSIT, "usd")
    assert (dispute["balance_effect"], dispute["balance_currency"]) == (-DEPOSIT - FEE, "usd")
    assert dispute["evidence_due_by"] is not None
    assert dispute["is_charge_refundable"] is False
    shown = await world.booking(booking)
    assert (shown["disputed"], shown["state"]) == (True, "confirmed")


async def test_a_lost_dispute_stays_and_makes_nothing_due_again(world: World) -> None:
    booking, intent = await paid(world, "pm_card_createDispute")
    before = await world.booking(booking)
    await answer(world, "losing_evidence")
    payment = await detail(world, intent)
    assert (payment["disputed"], payment["disputes"][0]["status"]) == (True, "lost")
    after = await world.booking(booking)
    assert after["disputed"]
    assert (after["due_cents"], after["state"]) == (TOTAL - DEPOSIT, "confirmed")
    assert (before["paid_cents"], before["due_cents"]) == (after["paid_cents"], after["due_cents"])


async def test_a_dispute_that_was_won_is_history(world: World) -> None:
    booking, intent = await paid(world, "pm_card_createDispute")
    await answer(world, "winning_evidence")
    payment = await detail(world, intent)
    assert (payment["disputed"], payment["disputes"][0]["status"]) == (False, "won")
    assert payment["disputes"][0]["balance_effect"] == -FEE
    assert (await world.booking(booking))["disputed"] is False


async def test_a_dispute_that_arrives_before_its_payment_is_found_by_it(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_createDispute")
    await world.settle()
    events = await world.events()
    early = [event for event in events if event["type"].startswith("charge.dispute.")]
    await world.db.execute("delete from stripe.payment_intents")
    await world.converge(early)
    await world.converge(event for event in events if event not in early)
    assert (await detail(world, intent))["disputed"]
    assert (await world.booking(booking))["disputed"]


async def test_another_customers_payment_is_not_there(world: World) -> None:
    _, intent = await paid(world, "pm_card_visa")
    path = f"/stripe/payments/{intent['id']}"
    await world.ask("GET", path, status=404, user="u-2")
    await world.ask("GET", "/stripe/payments/pi_none", status=404, role="admin")
    mine, theirs = await detail(world, intent), await detail(world, intent, role="service")
    assert mine == theirs
    assert (mine["refunds"], mine["disputes"], mine["messages"]) == ([], [], [])
    [listed] = (await world.ask("GET", "/stripe/payments"))["data"]
    assert mine.items() >= listed.items()
