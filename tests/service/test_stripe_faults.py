"""What a caller is told when Stripe is away, busy, slow or does not want us, and what is left."""

import pytest
import stripe
from prometheus_client import REGISTRY
from pydantic import SecretStr

from service.variants import application, listening, served
from world import Json, World

SESSION = "/api/v1/stripe/create-checkout-session"
INTENT = "/api/v1/stripe/create-payment-intent"


async def fault(world: World, **what: object) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json={"times": 9, **what})
    assert answer.status_code == 201, answer.text


async def asked(world: World, path: str, booking: Json) -> tuple[int, Json, dict[str, str]]:
    answer = await world.api.post(path, json={"booking_id": booking["id"]}, headers=world.bearer())
    return answer.status_code, answer.json(), dict(answer.headers)


async def whole(world: World, booking: Json) -> None:
    """Once Stripe is back, the same request works and nothing was made twice."""
    await world.stripe.delete("/_sandbox/faults")
    session = await world.session(booking)
    listed = await world.at_stripe("GET", "/v1/checkout/sessions")
    assert [found["id"] for found in listed["data"]] == [session["session_id"]]
    assert len((await world.at_stripe("GET", "/v1/customers"))["data"]) == 1
    assert len(await world.rows("select id from open_payables where closed_at is null")) == 1
    await world.pay(session)
    await world.converge()
    assert (await world.booking(booking))["state"] == "confirmed"


CASES = [
    ({"status": 500}, 502, "stripe_failed", True),
    ({"cut": True}, 502, "stripe_failed", False),
    ({"status": 429}, 503, "stripe_busy", True),
    ({"status": 401}, 502, "stripe_misconfigured", True),
    ({"status": 403}, 502, "stripe_misconfigured", True),
    ({"status": 400}, 422, "stripe_rejected", True),
]


@pytest.mark.parametrize("path", ["/v1/checkout/sessions"])
@pytest.mark.parametrize(("what", "status", "code", "answered"), CASES, ids=str)
async def test_a_fault_of_stripe_is_named_and_leaves_nothing_half_done(
    world: World,
    path: str,
    what: Json,
    status: int,
    code: str,
    answered: bool,  # noqa: FBT001 - as above
) -> None:
    booking = await world.book()
    await fault(world, method="POST", path=path, **what)
    found, problem, headers = await asked(world, SESSION, booking)
    assert (found, problem["code"], problem["status"]) == (status, code, status)
    assert headers["content-type"] == "application/problem+json"
    assert ("stripe_request_id" in problem) is answered
    if answered:
        assert problem["stripe_request_id"].startswith("req_")
    assert ("retry-after" in headers) is (status >= 500)
    assert await world.rows("select id from stripe.checkout_sessions") == []
    assert await world.booking(booking) == booking
    await whole(world, booking)


@pytest.mark.parametrize("what", [{"status": 500}, {"cut": True}], ids=str)
async def test_work_that_stripe_did_before_its_fault_is_found_again(
    world: World, what: Json
) -> None:
    for path in ("/v1/customers", "/v1/checkout/sessions"):
        await fault(world, method="POST", path=path, when="after", times=1, **what)
    booking = await world.book()
    for _ in range(3):
        await asked(world, SESSION, booking)
    await whole(world, booking)


async def test_a_stripe_that_does_not_answer_in_time_is_504(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tries that follow at once would meet the first one still at work, which is another answer.
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.5)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 5)
    booking = await world.book()
    await fault(world, method="POST", path="/v1/payment_intents", delay_seconds=0.4)
    async with (
        listening(world.sandbox) as url,
        served(application(world, stripe_timeout=0.1, stripe_api_base=url)) as api,
    ):
        body = {"booking_id": booking["id"]}
        answer = await api.post(INTENT, json=body, headers=world.bearer())
        assert (answer.status_code, answer.json()["code"]) == (504, "stripe_timeout")
        assert int(answer.headers["Retry-After"]) > 0
    assert await world.rows("select id from stripe.payment_intents") == []
    await world.stripe.delete("/_sandbox/faults")
    intent = await world.intent(booking)
    listed = await world.at_stripe("GET", "/v1/payment_intents")
    assert [found["id"] for found in listed["data"]] == [intent["id"]]


async def test_a_short_fault_is_not_noticed(world: World) -> None:
    booking = await world.book()
    await fault(world, method="POST", path="/v1/customers", status=500, times=1)
    await fault(world, method="POST", path="/v1/checkout/sessions", status=429, times=2)
    status, _, _ = await asked(world, SESSION, booking)
    assert status == 200
    await whole(world, booking)


async def test_a_key_that_stripe_refuses_is_our_fault_and_never_shown(world: World) -> None:
    booking = await world.book()
    wrong = SecretStr("sk_live_of_somebody_else")
    async with served(application(world, stripe_secret_key=wrong)) as api:
        body = {"booking_id": booking["id"]}
        answer = await api.post(SESSION, json=body, headers=world.bearer())
    assert (answer.status_code, answer.json()["code"]) == (502, "stripe_misconfigured")
    assert "sk_live" not in answer.text


async def test_a_key_that_stripe_refuses_is_logged_and_alerted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = SecretStr("sk_live_of_somebody_else")
    name, labels = "payments_alerts_total", {"kind": "stripe_key_refused"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    async with served(application(world, stripe_secret_key=wrong)) as api:
        await api.post(SESSION, json={"booking_id": "bk_none"}, headers=world.bearer())
        booking = await world.book()
        await api.post(SESSION, json={"booking_id": booking["id"]}, headers=world.bearer())
    assert (REGISTRY.get_sample_value(name, labels) or 0) > before
    logged = capsys.readouterr().err
    assert "AuthenticationError" in logged
    assert "sk_live" not in logged


async def test_while_stripe_is_away_reading_and_booking_go_on(world: World) -> None:
    await fault(world, path="/v1/", cut=True, times=99)
    booking = await world.book()
    assert await world.booking(booking) == booking
    changed = await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    assert changed["guests"] == 10
    assert (await world.ask("GET", "/stripe/payments"))["data"] == []
    assert (await world.ask("GET", "/stripe/products"))["data"]
