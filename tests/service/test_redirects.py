"""Where customers are sent after paying, and what a success page learns."""

from datetime import timedelta

import pytest

from service.variants import application, served
from world import DEPOSIT, Json, World

PATH = "/stripe/create-checkout-session"


async def pages(world: World, session: Json) -> tuple[str, str]:
    found = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    return found["success_url"], found["cancel_url"]


async def test_without_pages_the_first_front_end_gets_its_customers_back(world: World) -> None:
    session = await world.session(await world.book())
    assert await pages(world, session) == (
        "https://shop.example/payment/success?session_id={CHECKOUT_SESSION_ID}",
        "https://shop.example/payment/cancel",
    )


@pytest.mark.parametrize(
    ("success", "cancel"),
    [
        ("https://shop.example", "https://shop.example/"),
        ("https://admin.example/done?id={CHECKOUT_SESSION_ID}#top", "https://admin.example/x?y=/z"),
        ("http://localhost:5173/ok", "http://127.0.0.1/no"),
    ],
)
async def test_pages_of_our_front_ends_are_kept_as_they_were_sent(
    world: World, success: str, cancel: str
) -> None:
    session = await world.session(await world.book(), success_url=success, cancel_url=cancel)
    assert await pages(world, session) == (success, cancel)


FOREIGN = [
    "https://evil.example/",
    "http://shop.example/",
    "https://shop.example.evil.example/",
    "https://shop.example@evil.example/",
    "https://shop.example:pw@evil.example/",
    "https://user@shop.example/",
    "https://shop.example:8443/",
    "https://evil.example\\@shop.example/",
    "https://shop.example\\.evil.example/",
    "https:\\\\evil.example/",
    "https:/evil.example",
    "//evil.example/",
    "//shop.example/",
    "/payment/success",
    "shop.example/payment",
    "javascript:alert(1)//https://shop.example/",
    "data:text/html,https://shop.example/",
    "ftp://shop.example/",
    "https://[::1/",
    "https://[shop.example]/",
    "https://shop.example\t.evil.example/",
    "https://shop.example\n.evil.example/",
    "https://shop。example/",
    "https://evil.example/#https://shop.example/",
    "https://localhost.evil.example/",
    "javascript://localhost/%0aalert(1)",
    "https://sub.shop.example/",
    "",
    " ",
    "\x01",
]


async def test_a_foreign_page_is_refused_and_ours_are_named(world: World) -> None:
    booking = await world.book()
    for url in FOREIGN:
        for name in ("success_url", "cancel_url"):
            body = {"booking_id": booking["id"], name: url}
            answer = await world.ask("POST", PATH, body, status=422)
            assert name in answer["detail"], url
            assert "https://shop.example" in answer["detail"]
    assert await world.rows("select id from open_payables") == []


@pytest.mark.parametrize("environment", ["staging", "production"])
async def test_localhost_is_a_front_end_in_development_alone(
    world: World, environment: str
) -> None:
    booking = await world.book()
    async with served(application(world, environment=environment)) as api:
        for url in ("http://localhost:3000/ok", "http://127.0.0.1/", "https://localhost/"):
            body = {"booking_id": booking["id"], "success_url": url}
            answer = await api.post(f"/api/v1{PATH}", json=body, headers=world.bearer())
            assert answer.status_code == 422


async def state(world: World, session: Json, **asked: object) -> Json:
    path = f"/stripe/checkout-sessions/{session['session_id']}"
    return await world.ask("GET", path, **asked)  # type: ignore[arg-type]  # status, user and role


async def test_the_success_page_is_told_when_the_money_is_here(world: World) -> None:
    booking = await world.book()
    session = await world.session(booking)
    opened = await state(world, session)
    assert opened == {
        "session_id": session["session_id"],
        "status": "open",
        "payment_status": "unpaid",
        "paid": False,
        "booking_id": booking["id"],
        "reference": f"booking:{booking['id']}",
        "payment_intent": None,
        "payment_type": "deposit",
        "amount_cents": DEPOSIT,
        "currency": "usd",
    }
    await world.pay(session)
    assert (await state(world, session))["paid"] is False
    await world.converge()
    paid = await state(world, session)
    assert (paid["status"], paid["payment_status"], paid["paid"]) == ("complete", "paid", True)
    assert paid["payment_intent"].startswith("pi_")


async def test_a_session_is_shown_to_its_owner_and_to_services(world: World) -> None:
    session = await world.session(await world.book())
    assert (await state(world, session))["status"] == "open"
    for role in ("service", "admin"):
        assert (await state(world, session, user="x", role=role))["status"] == "open"
    answer = await state(world, session, user="u-2", status=404)
    assert answer["code"] == "not_found"
    await state(world, {"session_id": "cs_none"}, status=404)
    await state(world, {"session_id": "cs_none"}, status=404, role="admin")


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_chargeDeclined"])
async def test_a_session_whose_events_were_all_lost_is_found_by_asking(
    world: World, card: str
) -> None:
    booking = await world.book()
    session = await world.session(booking, payment_type="deposit")
    await world.pay(session, card, status=None)
    expected = card == "pm_card_visa"

    world.clock.ahead = timedelta(seconds=10)
    for _ in range(3):  # what a success page does: ask, wait, ask again
        await state(world, session)
        await world.work()
        await world.db.execute("update stripe_events set done_at = done_at - interval '10 s'")
    found = await state(world, session)
    assert (found["paid"], found["payment_status"] == "paid") == (expected, expected)
    assert (await world.booking(booking))["state"] == ("confirmed" if expected else "pending")


async def test_asking_often_asks_stripe_seldom(world: World) -> None:
    session = await world.session(await world.book())
    await state(world, session)
    assert await world.rows("select id from stripe_events") == []
    world.clock.ahead = timedelta(seconds=10)
    for _ in range(20):
        await state(world, session)
    assert len(await world.rows("select id from stripe_events where generation = 0")) == 1
    await world.work()
    await state(world, session)
    assert await world.rows("select id from stripe_events where not_before is not null") == []


async def test_a_front_end_may_know_this_much(world: World) -> None:
    answer = await world.api.get("/api/v1/stripe/config")
    assert answer.json() == {
        "publishable_key": "pk_test_sandbox",
        "stripe_js": "http://stripe.test/endive/stripe.js",
        "currency": "usd",
        "livemode": False,
        "api_version": "2026-10-28.endive",
    }
