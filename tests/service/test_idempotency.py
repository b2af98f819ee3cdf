"""`Idempotency-Key`: the same request again continues what the first one reserved."""

from datetime import timedelta
from typing import Any

import pytest

from payments.domains.portal import ensure_configuration
from world import BOOKING, Json, World, together


async def send(world: World, path: str, body: Json, key: str, user: str = "u-1") -> Any:
    headers = world.bearer(user, email=f"{user}@example.com") | {"Idempotency-Key": key}
    return await world.api.post(f"/api/v1{path}", json=body, headers=headers)


async def test_a_booking_is_made_once(world: World) -> None:
    answers = await together(*(send(world, "/bookings", BOOKING, "k") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other_user = await send(world, "/bookings", BOOKING, "k", user="u-2")
    assert other_user.json()["user_id"] == "u-2"
    assert len(await world.rows("select 1 from bookings")) == 2


async def test_the_order_of_names_makes_no_other_request(world: World) -> None:
    first = await send(world, "/bookings", BOOKING, "k")
    again = await send(world, "/bookings", dict(reversed(BOOKING.items())), "k")
    assert again.json() == first.json()


@pytest.mark.parametrize("what", ["checkout-session", "payment-intent"])
async def test_a_payment_is_opened_once_and_never_again_once_it_is_paid(
    world: World, what: str
) -> None:
    path = f"/stripe/create-{what}"
    body = {"booking_id": (await world.book())["id"], "payment_type": "deposit"}
    first = (await send(world, path, body, "k")).json()
    assert (await send(world, path, body, "k")).json() == first
    changed = await send(world, path, {**body, "payment_type": "full"}, "k")
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    await (world.pay(first) if "session_id" in first else world.confirm(first))
    await world.converge()
    again = await send(world, path, body, "k")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_a_request_that_was_refused_leaves_its_key_free(world: World) -> None:
    body = {"booking_id": "bk_none", "payment_type": "deposit"}
    path = "/stripe/create-checkout-session"
    assert (await send(world, path, body, "k")).status_code == 404
    assert (await send(world, "/bookings", BOOKING | {"guests": 0}, "k")).status_code == 422
    assert (await send(world, "/bookings", BOOKING | {"menu": "none"}, "k")).status_code == 422
    assert (await send(world, "/bookings", BOOKING, "k")).status_code == 201


async def test_a_key_whose_process_died_is_free_after_a_minute(world: World) -> None:
    made = (await send(world, "/bookings", BOOKING, "k")).json()
    await world.db.execute("update idempotency_keys set leased_until = now() + interval '59 s'")
    running = await send(world, "/bookings", BOOKING, "k")
    assert (running.status_code, running.json()["code"]) == (409, "in_flight")
    assert 0 < int(running.headers["Retry-After"]) <= 60
    world.clock.ahead = timedelta(seconds=60)
    assert (await send(world, "/bookings", BOOKING, "k")).json() == made


async def test_a_key_is_forgotten_after_a_day(world: World) -> None:
    first = (await send(world, "/bookings", BOOKING, "k")).json()
    world.clock.ahead = timedelta(hours=25)
    second = await send(world, "/bookings", BOOKING | {"guests": 9}, "k")
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    answer = await send(world, "/bookings", BOOKING, key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_no_secret_is_kept_with_a_key(world: World) -> None:
    body = {"booking_id": (await world.book())["id"], "payment_type": "deposit"}
    secret = (await send(world, "/stripe/create-payment-intent", body, "k")).json()["client_secret"]
    [kept] = await world.rows("select * from idempotency_keys where key = 'k'")
    assert secret not in str(dict(kept))


async def test_a_repeated_click_opens_the_same_portal(world: World) -> None:
    await ensure_configuration(world.ctx)
    body = {"return_url": "https://shop.example/account"}
    first = (await send(world, "/stripe/portal-link", body, "k")).json()
    assert (await send(world, "/stripe/portal-link", body, "k")).json() == first
    assert (await send(world, "/stripe/portal-link", body, "l")).json()["url"] != first["url"]
    assert (await send(world, "/stripe/portal-link", {}, "k")).status_code == 422
