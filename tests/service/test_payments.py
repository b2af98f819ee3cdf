"""GET /stripe/payments: whose, which and in what state."""

from datetime import UTC, datetime, timedelta

from world import DEPOSIT, TOTAL, Json, World

PATH = "/stripe/payments"


async def listed(
    world: World, user: str = "u-1", role: str = "user", **query: object
) -> list[Json]:
    page = await world.ask("GET", PATH, user=user, role=role, params=query)  # type: ignore[arg-type]  # a Role
    assert (page["object"], page["url"]) == ("list", "/api/v1/stripe/payments")
    found: list[Json] = page["data"]
    return found


async def paid(world: World, booking: Json, card: str = "pm_card_visa", **asked: object) -> Json:
    intent = await world.intent(booking, **asked)
    await world.confirm(intent, card, status=None)
    return intent


async def of_another_user(world: World) -> Json:
    body = {"user_id": "u-2", "total_cents": 5000, "reference": "order-2"}
    booking = await world.ask("POST", "/bookings", body, status=201, role="service")
    body = {"booking_id": booking["id"]}
    intent = await world.ask("POST", "/stripe/create-payment-intent", body, user="u-2")
    await world.confirm(intent)
    return booking


async def test_a_payment_is_shown_with_what_it_is_for(world: World) -> None:
    booking = await world.book()
    intent = await paid(world, booking)
    await world.converge()
    [payment] = await listed(world)
    at = {name: payment.pop(name) for name in ("created_at", "updated_at")}
    assert payment == {
        "object": "payment",
        "id": intent["id"],
        "booking_id": booking["id"],
        "reference": f"booking:{booking['id']}",
        "provider": "stripe",
        "stripe_payment_intent_id": intent["id"],
        "payment_type": "deposit",
        "amount_cents": DEPOSIT,
        "received_cents": DEPOSIT,
        "refunded_cents": 0,
        "amount": "$100.00",
        "currency": "usd",
        "status": "succeeded",
        "stripe_status": "succeeded",
        "disputed": False,
        "failure": None,
    }
    assert all(datetime.fromisoformat(value).tzinfo for value in at.values())


async def test_a_user_sees_his_own_and_a_service_sees_all(world: World) -> None:
    mine = await world.book()
    await paid(world, mine)
    theirs = await of_another_user(world)
    await world.converge()
    assert [payment["booking_id"] for payment in await listed(world)] == [mine["id"]]
    assert [payment["booking_id"] for payment in await listed(world, "u-2")] == [theirs["id"]]
    assert await listed(world, "u-3") == []
    for role in ("service", "admin"):
        assert len(await listed(world, "x", role)) == 2


async def test_the_payments_of_a_booking_by_id_or_reference(world: World) -> None:
    mine = await world.book()
    await paid(world, mine)
    theirs = await of_another_user(world)
    await world.converge()
    assert len(await listed(world, booking_id=mine["id"])) == 1
    assert len(await listed(world, "u-2", booking_id="order-2")) == 1
    assert len(await listed(world, "x", "admin", booking_id=theirs["id"])) == 1
    for name in (theirs["id"], "order-2", "bk_none", ""):
        await world.ask("GET", PATH, status=404, params={"booking_id": name})


async def test_a_payment_of_another_application_is_shown_to_no_user(world: World) -> None:
    await world.at_stripe("POST", "/v1/payment_intents", amount=700, currency="usd")
    await world.converge()
    assert await listed(world) == []
    [payment] = await listed(world, "x", "admin")
    assert (payment["booking_id"], payment["reference"]) == (None, None)


async def story(world: World, name: str) -> Json:
    booking = await world.book()
    match name:
        case "requires_payment":
            await world.intent(booking)
        case "failed":
            await paid(world, booking, "pm_card_visa_chargeDeclinedInsufficientFunds")
        case "processing":
            await paid(world, booking, "pm_usBankAccount")
        case "canceled":
            intent = await world.intent(booking)
            await world.at_stripe("POST", f"/v1/payment_intents/{intent['id']}/cancel")
        case "requires_capture":
            intent = await world.intent(booking)
            form = {"payment_method": "pm_card_visa", "capture_method": "manual",
                    "return_url": "https://shop.example/"}  # fmt: skip
            await world.stripe.post(f"/v1/payment_intents/{intent['id']}/confirm", data=form)
        case "partially_refunded" | "refunded" | "succeeded":
            intent = await paid(world, booking)
            amount = {"partially_refunded": 1, "refunded": DEPOSIT, "succeeded": 0}[name]
            if amount:
                form = {"payment_intent": intent["id"], "amount": str(amount)}
                await world.stripe.post("/v1/refunds", data=form)
    return booking


STORIES = {
    "requires_payment": "requires_payment_method",
    "failed": "requires_payment_method",
    "processing": "processing",
    "canceled": "canceled",
    "requires_capture": "requires_capture",
    "succeeded": "succeeded",
    "partially_refunded": "succeeded",
    "refunded": "succeeded",
}


async def test_each_story_is_shown_in_its_own_word_and_found_by_it(world: World) -> None:
    bookings = {name: await story(world, name) for name in STORIES}
    await world.converge()
    for name, stripes_word in STORIES.items():
        [payment] = await listed(world, status=name)
        assert payment["booking_id"] == bookings[name]["id"]
        assert (payment["status"], payment["stripe_status"]) == (name, stripes_word)
        assert (payment["failure"] is not None) is (name == "failed")
        if name == "failed":
            assert payment["failure"] == {
                "code": "insufficient_funds",
                "message": "Your card has insufficient funds.",
            }
    held = await world.booking(bookings["requires_capture"])
    assert (held["paid_cents"], held["processing_cents"]) == (0, DEPOSIT)
    back = await world.booking(bookings["refunded"])
    assert (back["refunded_cents"], back["due_cents"], back["state"]) == (DEPOSIT, TOTAL, "pending")


async def test_a_refund_counts_when_it_has_arrived_and_no_longer_when_it_failed(
    world: World,
) -> None:
    for card, before, after in (
        ("pm_card_pendingRefund", "succeeded", "refunded"),
        ("pm_card_refundFail", "refunded", "succeeded"),
    ):
        booking = await world.book()
        intent = await paid(world, booking, card)
        await world.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"])
        await world.converge()
        assert [p["status"] for p in await listed(world, booking_id=booking["id"])] == [before]
        await world.settle()
        await world.converge()
        assert [p["status"] for p in await listed(world, booking_id=booking["id"])] == [after]


MEANINGLESS: list[tuple[Json, str]] = [
    ({"status": "done"}, "status"),
    ({"status": "requires_payment_method"}, "status"),
    ({"status": ""}, "status"),
    ({"limit": 0}, "limit"),
    ({"limit": 101}, "limit"),
    ({"starting_after": "pi_none"}, "starting_after"),
    ({"created[gte]": "yesterday"}, "created"),
    ({"created[gte]": "2026-01-01T00:00:00"}, "created"),
    ({"created[lt]": ""}, "created"),
    ({"created[gte]": "0001-01-01T00:00:00+14:00"}, "created"),
    ({"created[lt]": "9999-12-31T23:59:59-14:00"}, "created"),
    ({"created[gte]": "1e400"}, "created"),
]


async def test_a_query_that_means_nothing_is_refused_by_name(world: World) -> None:
    missed = []
    for query, field in MEANINGLESS:
        answer = await world.api.get(f"/api/v1{PATH}", params=query, headers=world.bearer())
        if answer.status_code != 422 or field not in answer.json()["detail"]:
            missed.append(f"{query}: {answer.text}")
    assert missed == []


async def test_a_cursor_must_be_a_payment_one_may_see(world: World) -> None:
    await paid(world, await world.book())
    await of_another_user(world)
    await world.converge()
    [theirs] = await listed(world, "u-2")
    await world.ask("GET", PATH, status=422, params={"starting_after": theirs["id"]})


async def test_payments_are_found_by_when_they_were_made(world: World) -> None:
    await paid(world, await world.book())
    await world.converge()
    [payment] = await listed(world)
    at = datetime.fromisoformat(payment["created_at"])
    second = timedelta(seconds=1)

    async def count(**bounds: object) -> int:
        query = {f"created[{name}]": bound for name, bound in bounds.items()}
        return len((await world.ask("GET", PATH, params=query))["data"])

    for as_text in (lambda t: t.isoformat(), lambda t: str(int(t.timestamp()))):
        assert await count(gte=as_text(at), lte=as_text(at)) == 1
        assert await count(gt=as_text(at)) == 0
        assert await count(lt=as_text(at)) == 0
        assert await count(gt=as_text(at - second), lt=as_text(at + second)) == 1
        assert await count(lte=as_text(at - second)) == 0
    assert await count(gte=at.astimezone(UTC).isoformat().replace("+00:00", "Z")) == 1


async def test_the_list_turns_its_pages(world: World) -> None:
    for _ in range(5):
        await world.intent(await world.book())
    await world.converge()
    whole = [payment["id"] for payment in await listed(world)]
    assert len(set(whole)) == 5
    seen: list[str] = []
    while len(seen) < 5:
        cursor = {"starting_after": seen[-1]} if seen else {}
        page = await world.ask("GET", PATH, params={"limit": 2, **cursor})
        seen += [payment["id"] for payment in page["data"]]
        assert page["has_more"] is (len(seen) < 5)
    assert seen == whole
