"""What Stripe posts: stored once if it is signed, refused otherwise, never lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from pydantic import SecretStr
from stripe import WebhookSignature

from service.variants import Wire, application, served
from world import SECRET, Database, Json, World, open_world, together

PATH = "/api/v1/stripe/webhook"
LIMIT = 1024 * 1024


def event(id: str = "evt_1", **changes: Any) -> Json:
    return {
        "id": id,
        "object": "event",
        "type": "charge.pending",
        "created": 1_790_000_000,
    } | changes


def header(body: bytes, *, secret: str = SECRET, age: int = 0) -> str:
    signed: str = WebhookSignature.generate_signature_header(
        body.decode(), secret, int(time.time()) - age
    )
    return signed


async def post(
    api: httpx2.AsyncClient, body: bytes, signature: str | bytes | None, path: str = PATH
) -> httpx2.Response:
    headers = {} if signature is None else {"Stripe-Signature": signature}
    return await api.post(path, content=body, headers=headers)  # type: ignore[arg-type]  # bytes are fine


async def stored(world: World) -> list[str]:
    return [row["id"] for row in await world.rows("select id from stripe_events order by id")]


async def refused(world: World, body: bytes, signature: str | bytes | None) -> str:
    answer = await post(world.api, body, signature)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "webhook_rejected"
    assert await stored(world) == []
    return str(answer.json()["detail"])


BODY = orjson.dumps(event())
DIGEST = "0" * 64


UNSIGNED: list[str | bytes | None] = [
    None,
    "",
    "nonsense",
    "t=1,v1",
    "v1=" + DIGEST,
    f"t=now,v1={DIGEST}",
    f"t=,v1={DIGEST}",
    "t=" + "9" * 5000 + ",v1=" + DIGEST,
    f"t=-1,v1={DIGEST}",
    f"t={int(time.time())}",
    f"t={int(time.time())},v0={DIGEST}",
    f"t={int(time.time())},v1={DIGEST}",
    f"t={int(time.time())},v1=é".encode(),
    "t=\N{FULLWIDTH DIGIT ONE},v1=0".encode(),
    b"t=\xff,v1=\xfe",
]
NO_EVENTS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"evt_1"',
    b"{}",
    b'{"type": "charge.pending"}',
    b'{"id": "evt_1"}',
    b'{"id": 1, "type": "charge.pending"}',
    b'{"id": "evt_1", "type": null}',
    b'{"id": "", "type": "charge.pending"}',
    b'{"id": "evt_\\ud800", "type": "charge.pending"}',
    b'{"id": "evt_\\u0000", "type": "charge.pending"}',
    b"[" * 200_000,
]
ODD: list[Json] = [
    {"created": 10**18},
    {"created": -(10**18)},
    {"created": "yesterday"},
    {"created": True},
    {"account": 5},
    {"api_version": 7},
    {"livemode": "yes"},
    {"data": []},
    {"data": {"object": {"id": 5}}},
    {"data": {"object": {"id": "ch_\x00"}}},
    {"related_object": "ch_1"},
]
ALIASES = [PATH, "/api/stripe/webhook", "/api/payments/webhook", "/stripe/webhook"]


async def test_a_signature_that_is_none_is_refused(world: World) -> None:
    for signature in UNSIGNED:
        await refused(world, BODY, signature)


async def test_a_signed_body_that_is_no_event_is_refused(world: World) -> None:
    for body in NO_EVENTS:
        await refused(world, body, header(body))


async def test_a_body_that_is_no_text_is_refused(world: World) -> None:
    await refused(world, b"\xff\xfe\xfd", f"t={int(time.time())},v1={DIGEST}")


async def test_a_delivery_signed_with_another_secret_is_refused(world: World) -> None:
    await refused(world, BODY, header(BODY, secret="whsec_of_somebody_else"))


async def test_a_signature_for_another_body_is_refused(world: World) -> None:
    await refused(world, BODY, header(b"{}"))


async def test_a_delivery_older_than_five_minutes_is_refused(world: World) -> None:
    assert "stale" in await refused(world, BODY, header(BODY, age=302))


async def test_a_delivery_from_the_future_is_refused(world: World) -> None:
    assert "future" in await refused(world, BODY, header(BODY, age=-305))


@pytest.mark.parametrize("age", [290, -290])
async def test_a_clock_that_differs_by_less_than_five_minutes_is_no_obstacle(
    world: World, age: int
) -> None:
    assert (await post(world.api, BODY, header(BODY, age=age))).status_code == 200
    assert await stored(world) == ["evt_1"]


async def test_a_header_cannot_choose_the_secret(world: World) -> None:
    chosen = {
        "Stripe-Signature": header(BODY, secret="whsec_chosen"),
        "X-Djstripe-Webhook-Secret": "whsec_chosen",
        "Stripe-Webhook-Secret": "whsec_chosen",
    }
    assert (await world.api.post(PATH, content=BODY, headers=chosen)).status_code == 400


async def test_each_of_several_secrets_is_accepted_and_no_other(world: World) -> None:
    app = application(world, stripe_webhook_secret=SecretStr("whsec_new, whsec_old"))
    async with served(app) as api:
        for number, secret in enumerate(["whsec_new", "whsec_old"]):
            body = orjson.dumps(event(f"evt_{number}"))
            assert (await post(api, body, header(body, secret=secret))).status_code == 200
        assert (await post(api, BODY, header(BODY, secret=SECRET))).status_code == 400
    assert await stored(world) == ["evt_0", "evt_1"]


async def test_an_event_that_comes_by_several_endpoints_is_stored_once(world: World) -> None:
    made = application(
        world,
        stripe_webhook_secret=SecretStr("whsec_a,whsec_b"),
        stripe_webhook_secret_2=SecretStr("whsec_c"),
        stripe_connect_webhook_secret=SecretStr("whsec_d"),
    )
    async with served(made) as api:
        signed = [header(BODY, secret=f"whsec_{letter}") for letter in "abcd"]
        answers = await together(*(post(api, BODY, signature) for signature in signed))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert await stored(world) == ["evt_1"]


async def test_without_a_secret_the_door_is_closed(world: World) -> None:
    for secret in (None, SecretStr(""), SecretStr(",")):
        async with served(application(world, stripe_webhook_secret=secret)) as api:
            assert (await post(api, BODY, header(BODY))).status_code == 400
            assert (await post(api, BODY, header(BODY, secret=" "))).status_code == 400
    assert await stored(world) == []


async def test_one_of_several_signatures_in_a_header_is_enough(world: World) -> None:
    good = header(BODY)
    stamp, _, digest = good.partition(",")
    assert (await post(world.api, BODY, f"{stamp},v1={DIGEST},{digest}")).status_code == 200


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65536):
        yield b" " * 65536


async def test_a_body_over_a_megabyte_is_refused_before_it_is_read(world: World) -> None:
    body = b" " * (LIMIT + 1)
    answer = await post(world.api, body, header(body))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    answer = await world.api.post(PATH, content=chunks(2 * LIMIT))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert await stored(world) == []


async def test_a_body_of_a_megabyte_is_an_event_like_others(world: World) -> None:
    filler = "x" * (LIMIT - len(orjson.dumps(event(filler=""))))
    body = orjson.dumps(event(filler=filler))
    assert len(body) == LIMIT
    assert (await post(world.api, body, header(body))).status_code == 200


async def test_the_body_is_kept_as_the_bytes_it_was(world: World) -> None:
    body = b'{ "type":"charge.pending",\n "id":"evt_1", "n": 1.10, "id":"evt_1" }'
    assert (await post(world.api, body, header(body))).status_code == 200
    [row] = await world.rows("select body from stripe_events")
    assert bytes(row["body"]) == body


async def test_the_addresses_of_the_documents_lead_to_the_same_inbox(world: World) -> None:
    for path in [*ALIASES, *(f"{alias}/" for alias in ALIASES)]:
        answer = await post(world.api, BODY, header(BODY), path)
        assert (answer.status_code, answer.json()) == (200, {"received": True}), path
        answer = await world.api.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), path
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert await stored(world) == ["evt_1"]


async def test_an_event_is_stored_once_however_often_it_comes(world: World) -> None:
    answers = await together(*(world.deliver(event()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert await stored(world) == ["evt_1"]


async def test_an_unknown_type_is_stored_and_left_alone(world: World) -> None:
    unknown = event(type="moon.landed", data={"object": {"id": "m_1", "object": "moon"}})
    assert (await world.deliver(unknown)).status_code == 200
    await world.work()
    [row] = await world.rows("select type, outcome, not_before, attempts from stripe_events")
    assert tuple(row) == ("moon.landed", "ignored", None, 0)


@pytest.mark.parametrize("field", ["account", "context"])
async def test_an_event_of_a_connected_account_is_kept_and_ignored(
    world: World, field: str
) -> None:
    object = {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}
    theirs = {"type": "payment_intent.succeeded", "data": {"object": object}, field: "acct_theirs"}
    assert (await world.deliver(event() | theirs)).status_code == 200
    await world.work()
    [row] = await world.rows("select account, outcome, attempts from stripe_events")
    assert tuple(row) == ("acct_theirs", "ignored", 0)
    assert await world.rows("select 1 from stripe.payment_intents") == []


async def test_a_signed_event_in_an_odd_shape_is_never_our_fault(world: World) -> None:
    answers = {str(odd): await world.deliver(event(f"evt_{n}", **odd)) for n, odd in enumerate(ODD)}
    await world.work()
    told = {odd: a.text for odd, a in answers.items() if a.status_code not in (200, 400)}
    assert told == {}


async def test_concurrent_deliveries_share_transactions(world: World) -> None:
    answers = await together(*(world.deliver(event(f"evt_{n}")) for n in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    [row] = await world.rows("select count(*) n, count(distinct xmin::text) tx from stripe_events")
    assert row["n"] == 100
    assert row["tx"] < 25


async def test_a_row_that_cannot_be_stored_fails_alone(world: World) -> None:
    # longer than an index entry may be, and of digests, so that it cannot be compressed to fit
    poison = event()
    poison["id"] = "evt_" + "".join(
        WebhookSignature._compute_signature(str(n), "k") for n in range(200)
    )
    good = [event(f"evt_{n:02}") for n in range(30)]
    answers = await together(*(world.deliver(one) for one in [*good[:15], poison, *good[15:]]))
    statuses = [answer.status_code for answer in answers]
    assert statuses.pop(15) in (400, 503)
    assert set(statuses) == {200}
    assert await stored(world) == [one["id"] for one in good]


async def test_a_poisonous_payload_does_not_take_others_down(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="deposit"))
    events = await world.events()
    paid = next(e for e in events if e["type"] == "payment_intent.succeeded")
    poison = orjson.loads(orjson.dumps(paid))
    poison["id"] = "evt_poison"
    poison["data"]["object"]["id"] = "pi_poison"
    poison["data"]["object"]["currency"] = "u\x00d"
    await world.converge([poison, *events])
    assert (await world.booking(booking))["state"] == "confirmed"
    [row] = await world.rows(
        "select attempts, done_at, error from stripe_events where id = 'evt_poison'"
    )
    assert (row["attempts"] > 0, row["done_at"]) == (True, None)
    assert row["error"]


async def test_the_queue_is_bounded_and_what_was_refused_comes_again(world: World) -> None:
    lock = world.db.transaction()
    await lock.start()
    await world.db.execute("lock table stripe_events in access exclusive mode")
    waiting = []
    for wave in (range(5000), range(5000, 6000)):  # the first group leaves room when it is taken
        waiting += [asyncio.create_task(world.ctx.ingest.put(row(world, n))) for n in wave]
        await asyncio.sleep(0.2)
    answer = await world.deliver(event("evt_late"))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    await lock.rollback()

    outcomes = await together(*waiting)
    admitted = [outcome for outcome in outcomes if outcome is None]
    assert 5000 <= len(admitted) < 6000
    assert (await world.deliver(event("evt_late"))).status_code == 200
    assert len(await stored(world)) == len(admitted) + 1


async def test_what_waits_is_bounded_in_bytes_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.sync.ingest.HELD_BYTES", 2)
    lock = world.db.transaction()
    await lock.start()
    await world.db.execute("lock table stripe_events in access exclusive mode")
    first = asyncio.create_task(world.ctx.ingest.put(row(world, 1)))
    await asyncio.sleep(0)
    assert (await world.deliver(event("evt_late"))).status_code == 503
    await lock.rollback()
    await first
    assert (await world.deliver(event("evt_late"))).status_code == 200


def row(world: World, number: int) -> Any:
    from payments.stripe_api.service import Delivery
    from payments.sync.sorting import sort_in

    return sort_in(Delivery(event(f"evt_{number}"), b"{}"), world.ctx.sync.registry, livemode=False)


async def test_a_database_that_is_away_means_503_and_the_retry_succeeds(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await database.empty()
    folder = Path(tmp_path_factory.mktemp("wire"))
    async with Wire(database.url, folder) as wire, open_world(wire.url, catalogue=False) as world:
        await wire.cut()
        answer = await world.deliver(event())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        await wire.mend()
        assert (await world.deliver(event())).status_code == 200
    assert await database.connection.fetchval("select count(*) from stripe_events") == 1
