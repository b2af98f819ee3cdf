"""PaymentIntents for Elements: the same rules as the page, and a secret that is kept nowhere."""

from world import DEPOSIT, TOTAL, Json, World, together

PATH = "/stripe/create-payment-intent"


async def test_the_answer_is_what_elements_need(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking, amount=DEPOSIT, payment_type="deposit")
    at_stripe = await world.at_stripe("GET", f"/v1/payment_intents/{intent['id']}")
    assert intent == {
        "id": at_stripe["id"],
        "client_secret": at_stripe["client_secret"],
        "publishable_key": "pk_test_sandbox",
        "status": "requires_payment_method",
        "booking_id": booking["id"],
        "reference": f"booking:{booking['id']}",
        "payment_type": "deposit",
        "amount_cents": DEPOSIT,
        "currency": "usd",
    }
    assert (at_stripe["amount"], at_stripe["currency"]) == (DEPOSIT, "usd")
    assert at_stripe["metadata"]["app"] == "payments"
    assert at_stripe["metadata"]["booking_id"] == booking["id"]
    assert at_stripe["receipt_email"] == "u-1@example.com"
    assert booking["id"] in at_stripe["description"]
    assert at_stripe["automatic_payment_methods"]["enabled"] is True


ASKED: list[tuple[Json, str, int]] = [
    ({}, "deposit", DEPOSIT),
    ({"amount": DEPOSIT}, "deposit", DEPOSIT),
    ({"amount_cents": TOTAL}, "full", TOTAL),
    ({"payment_type": "full"}, "full", TOTAL),
]


async def test_the_purpose_or_the_amount_says_what_is_paid(world: World) -> None:
    booking = await world.book()
    for asked, purpose, amount in ASKED:
        intent = await world.intent(booking, **asked)
        assert (intent["payment_type"], intent["amount_cents"]) == (purpose, amount), asked


UNASKABLE: list[tuple[Json, str]] = [
    ({"amount": DEPOSIT + 1}, str(DEPOSIT)),
    ({"amount": DEPOSIT, "payment_type": "full"}, str(TOTAL)),
    ({"amount": 100.0}, "amount"),
    ({"amount": "10000"}, "amount"),
    ({"amount": 0}, "amount"),
    ({"amount": -DEPOSIT}, "amount"),
    ({"amount": 10**12}, "amount"),
    ({"amount": True}, "amount"),
    ({"payment_type": "addon"}, "amount"),
    ({"payment_type": "everything"}, "payment_type"),
    ({"currency": "usd"}, "currency"),
    ({"confirm": True}, "confirm"),
    ({"reference": "booking:1"}, "reference"),
]


async def test_what_cannot_be_asked_for_is_refused_by_name(world: World) -> None:
    booking = await world.book()
    for wrong, field in UNASKABLE:
        body = {"booking_id": booking["id"], **wrong}
        answer = await world.ask("POST", PATH, body, status=422)
        assert field in answer["detail"], wrong
    assert await world.rows("select id from open_payables") == []


async def test_two_names_of_the_amount_are_one_too_many(world: World) -> None:
    body = {"booking_id": (await world.book())["id"], "amount": DEPOSIT, "amount_cents": TOTAL}
    answer = await world.ask("POST", PATH, body, status=422)
    assert "amount" in answer["detail"]


async def test_deposit_then_balance_pays_a_booking(world: World) -> None:
    booking = await world.book()
    await world.confirm(await world.intent(booking))
    await world.converge()
    assert (await world.booking(booking))["state"] == "confirmed"
    balance = await world.intent(booking)
    assert (balance["payment_type"], balance["amount_cents"]) == ("balance", TOTAL - DEPOSIT)
    await world.confirm(balance)
    await world.converge()
    assert (await world.booking(booking))["state"] == "paid"
    for purpose in ("deposit", "balance", "full"):
        body = {"booking_id": booking["id"], "payment_type": purpose}
        await world.ask("POST", PATH, body, status=409)


async def test_a_deposit_may_give_way_to_the_full_price(world: World) -> None:
    booking = await world.book()
    deposit = await world.intent(booking, payment_type="deposit")
    full = await world.intent(booking, payment_type="full")
    found = await world.at_stripe("GET", f"/v1/payment_intents/{deposit['id']}")
    assert found["status"] == "canceled"
    await world.confirm(full)
    await world.converge()
    assert (await world.booking(booking))["state"] == "paid"


async def test_an_addon_stands_beside_what_is_due(world: World) -> None:
    booking = await world.book()
    deposit = await world.intent(booking)
    wanted = {"booking_id": booking["id"], "payment_type": "addon", "amount": 1500}
    await world.ask("POST", PATH, wanted, status=422)
    addon = await world.ask("POST", PATH, wanted, role="service", user="shop")
    assert await world.intent(booking) == deposit
    await world.confirm(addon)
    await world.confirm(deposit)
    await world.converge()
    now = await world.booking(booking)
    assert (now["paid_cents"], now["total_cents"], now["due_cents"]) == (
        DEPOSIT + 1500,
        TOTAL + 1500,
        TOTAL - DEPOSIT,
    )


async def test_asking_again_gives_the_same_intent_also_at_once(world: World) -> None:
    booking = await world.book()
    path = f"/api/v1{PATH}"
    body = {"booking_id": booking["id"]}
    answers = await together(
        *(world.api.post(path, json=body, headers=world.bearer()) for _ in range(5))
    )
    made = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {(await world.intent(booking))["id"]} == made
    assert len((await world.at_stripe("GET", "/v1/customers"))["data"]) == 1


async def test_a_declined_card_leaves_the_intent_open_for_another(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_chargeDeclined", status=402)
    await world.converge()
    again = await world.intent(booking)
    assert again["id"] == intent["id"]
    await world.confirm(again)
    await world.converge()
    assert (await world.booking(booking))["paid_cents"] == DEPOSIT


async def test_a_client_secret_is_kept_nowhere(world: World) -> None:
    booking = await world.book()
    intent = await world.intent(booking)
    await world.confirm(intent, "pm_card_threeDSecure2Required")
    await world.intent(booking)
    await world.session(booking)
    needle = intent["client_secret"].rpartition("_secret_")[2]
    tables = await world.rows(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables "
        "where schemaname in ('public', 'stripe')"
    )
    for table in tables:
        query = f"select 1 from {table['name']} t where t::text like $1"
        assert await world.rows(query, f"%{needle}%") == [], table["name"]


async def test_an_event_of_an_intent_leaves_its_client_secret_behind(world: World) -> None:
    intent = await world.intent(await world.book())
    await world.confirm(intent)
    await world.converge()
    needle = intent["client_secret"].rpartition("_secret_")[2].encode()
    kept = await world.rows("select id from stripe_events where position($1 in body) > 0", needle)
    assert kept == []
