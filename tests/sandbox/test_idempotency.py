"""Idempotency keys: one execution, one answer."""

import asyncio
import time

import pytest
import stripe

from stripe_sandbox.engine.idempotency import KEY
from stripe_sandbox.testing import Bench

FORM = {"amount": "1000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}


async def test_a_repeated_key_replays_the_first_answer(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await bench.http.post("/v1/payment_intents", data=FORM, headers=headers)
    again = await bench.http.post("/v1/payment_intents", data=FORM, headers=headers)
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["idempotency-key"] == "k"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]
    assert len((await bench.stripe.v1.payment_intents.list_async()).data) == 1


async def test_a_replay_is_a_replay_although_the_object_has_changed(bench: Bench) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    create = bench.stripe.v1.customers.create_async
    first = await create({"email": "a@example.com"}, options)
    await bench.stripe.v1.customers.update_async(first.id, {"email": "b@example.com"})
    assert (await create({"email": "a@example.com"}, options)).email == "a@example.com"


async def test_a_decline_is_replayed(bench: Bench) -> None:
    form, headers = {**FORM, "payment_method": "pm_card_chargeDeclined"}, {"Idempotency-Key": "k"}
    first = await bench.http.post("/v1/payment_intents", data=form, headers=headers)
    again = await bench.http.post("/v1/payment_intents", data=form, headers=headers)
    assert (first.status_code, again.status_code) == (402, 402)
    assert first.content == again.content
    assert len((await bench.stripe.v1.charges.list_async()).data) == 1


async def test_an_executed_refusal_is_replayed(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    form = {"payment_intent": "pi_none"}
    await bench.http.post("/v1/refunds", data=form, headers=headers)
    again = await bench.http.post("/v1/refunds", data=form, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (404, "true")


async def test_other_parameters_under_a_key_are_refused(bench: Bench) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    await bench.stripe.v1.customers.create_async({"email": "a@example.com"}, options)
    with pytest.raises(stripe.IdempotencyError) as refused:
        await bench.stripe.v1.customers.create_async({"email": "b@example.com"}, options)
    assert refused.value.http_status == 400
    assert str(refused.value.user_message).startswith(
        "Keys for idempotent requests can only be used with the same parameters they were first"
        " used with. Try using a key other than 'k'"
    )
    with pytest.raises(stripe.IdempotencyError):
        await bench.stripe.v1.products.create_async({"name": "x"}, options)


async def test_what_was_never_begun_keeps_no_answer(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    wrong = await bench.http.post("/v1/customers", data={"emial": "a"}, headers=headers)
    right = await bench.http.post("/v1/customers", data={"email": "a@example.com"}, headers=headers)
    assert (wrong.status_code, right.status_code) == (400, 200)
    assert "idempotent-replayed" not in right.headers


async def test_a_second_request_in_flight_is_a_conflict(bench: Bench) -> None:
    await bench.http.post("/_sandbox/faults", json={"delay_seconds": 0.05, "path": "/v1/cust"})
    headers = {"Idempotency-Key": "k"}

    async def create() -> tuple[int, str | None]:
        response = await bench.http.post("/v1/customers", data={"name": "A"}, headers=headers)
        return response.status_code, response.json().get("error", {}).get("code")

    first, second = await asyncio.gather(create(), create())
    assert {first, second} == {(200, None), (409, "idempotency_key_in_use")}
    assert (await create())[0] == 200
    assert len((await bench.stripe.v1.customers.list_async()).data) == 1


async def test_only_a_post_has_a_key(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    await bench.http.get("/v1/customers", headers=headers)
    await bench.stripe.v1.customers.create_async()
    again = await bench.http.get("/v1/customers", headers=headers)
    assert len(again.json()["data"]) == 1
    assert "idempotency-key" not in again.headers


async def test_a_key_has_at_most_255_characters(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k" * 256}
    assert (await bench.http.post("/v1/customers", headers=headers)).status_code == 400
    headers = {"Idempotency-Key": "k" * 255}
    assert (await bench.http.post("/v1/customers", headers=headers)).status_code == 200


async def test_events_name_the_request_and_its_key(bench: Bench) -> None:
    headers = {"Idempotency-Key": "k"}
    response = await bench.http.post("/v1/payment_intents", data=FORM, headers=headers)
    await bench.settle()
    updated, *requested = (await bench.stripe.v1.events.list_async()).data
    assert len(requested) == 3
    for event in requested:
        assert event.request is not None
        assert event.request.id == response.headers["request-id"]
        assert event.request.idempotency_key == "k"
    assert updated.type == "charge.updated"
    assert updated.request is not None
    assert updated.request.id is None


async def test_a_key_is_free_again_after_a_day(bench: Bench) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "k"}
    first = await bench.stripe.v1.customers.create_async({}, options)
    with bench.app.sandbox.work() as work:
        work.state.change(KEY, "k", at=time.time() - 24 * 3600 - 1)
    assert (await bench.stripe.v1.customers.create_async({}, options)).id != first.id
    with bench.app.sandbox.work() as work:
        work.state.change(KEY, "k", at=0)
        bench.app.sandbox.keys.forget_old(work.state)
    assert "k" not in bench.app.sandbox.state.rows(KEY)
