"""Credits: what ends first is used first, nothing is counted twice, nothing goes below zero."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from payments.core.telemetry import ALERTS, CREDIT_SHORTFALLS
from payments.domains.credits import Grant, Note, grant_to_customer, root_of
from payments.sync.apply import locked
from service.accounts import (
    SERVICE,
    add,
    ensure_sound,
    grant,
    lines,
    read,
    send,
    spend,
    tend,
    worth,
)
from world import World, together

DAY = timedelta(days=1)


@pytest_asyncio.fixture(autouse=True)
async def sound(world: World) -> AsyncIterator[None]:
    yield
    await ensure_sound(world)


async def test_who_has_no_account_has_nothing(world: World) -> None:
    assert await read(world) == {
        "object": "list", "user_id": "u-1", "balance": 0, "debt": 0, "lots": [], "data": [],
        "has_more": False, "url": "/api/v1/financial/credits/u-1",
    }  # fmt: skip
    refused = await spend(world, 1, status=409)
    assert (refused["code"], refused["balance"], refused["amount"]) == (
        "insufficient_credits",
        0,
        1,
    )
    assert await world.rows("select 1 from credit_accounts") == []


async def test_what_was_added_can_be_spent_and_each_act_says_what_is_left(world: World) -> None:
    added = await add(world, 100, reason="a welcome", reference="welcome")
    assert (added["balance"], added["entry"]["kind"], added["entry"]["amount"]) == (
        100,
        "grant",
        100,
    )
    spent = await spend(world, 30, reason="an image", reference="job-1")
    assert (spent["balance"], spent["entry"]["amount"]) == (70, -30)
    found = await read(world)
    assert found["balance"] == 70
    assert found["data"] == [spent["entry"], added["entry"]]
    assert [(entry["reason"], entry["reference"]) for entry in found["data"]] == [
        ("an image", "job-1"),
        ("a welcome", "welcome"),
    ]
    [lot] = found["lots"]
    assert (lot["granted"], lot["remaining"], lot["credit_type"]) == (100, 70, "manual")
    [audited] = await world.rows("select actor, reason from audit_log where act = 'credits.added'")
    assert tuple(audited) == ("shop", "a welcome")


async def test_the_ledger_turns_its_pages(world: World) -> None:
    for amount in range(1, 6):
        await add(world, amount)
    first = await read(world, limit=2)
    assert ([e["amount"] for e in first["data"]], first["has_more"]) == ([5, 4], True)
    rest = await read(world, limit=3, starting_after=first["data"][-1]["id"])
    assert ([e["amount"] for e in rest["data"]], rest["has_more"]) == ([3, 2, 1], False)
    await add(world, 1, user="u-2")
    [theirs] = (await read(world, user="u-2"))["data"]
    for cursor in (theirs["id"], "ce_0", "nonsense", "ce_9999999999999999999"):
        path = f"/financial/credits/u-1?starting_after={cursor}"
        assert (await world.ask("GET", path, status=422))["code"] == "invalid_request"


async def test_what_ends_first_is_used_first_an_entry_a_lot(world: World) -> None:
    await add(world, 10)
    await grant(world, "payment:pi_late", 10, ends=9 * DAY)
    await grant(world, "payment:pi_soon", 10, ends=DAY)
    spent = await spend(world, 25)
    assert [entry["amount"] for entry in spent["entries"]] == [-10, -10, -5]
    assert [entry["balance_after"] for entry in spent["entries"]] == [20, 10, 5]
    assert spent["entry"] == spent["entries"][-1]
    [left] = (await read(world))["lots"]
    assert (left["credit_type"], left["remaining"]) == ("manual", 5)


async def test_what_is_over_counts_for_nothing_before_its_expiry_is_written(world: World) -> None:
    await grant(world, "payment:pi_1", 10, ends=DAY)
    world.clock.ahead = DAY
    assert ((await read(world))["balance"], (await read(world))["lots"]) == (0, [])
    assert (await spend(world, 1, status=409))["balance"] == 0
    assert await lines(world) == [("grant", 10)]
    await tend(world)
    await tend(world)
    assert await lines(world) == [("grant", 10), ("expiry", -10)]


async def test_a_spending_writes_what_is_over_and_uses_what_is_not(world: World) -> None:
    await grant(world, "payment:pi_1", 10, ends=DAY)
    await add(world, 5)
    world.clock.ahead = DAY
    spent = await spend(world, 5)
    assert ([e["kind"] for e in spent["entries"]], spent["balance"]) == (["spend"], 0)
    assert await lines(world) == [("grant", 10), ("grant", 5), ("expiry", -10), ("spend", -5)]


async def test_a_lot_may_be_given_another_end(world: World) -> None:
    await grant(world, "invoice:in_1:il_1", 10, ends=30 * DAY)
    await grant(world, "invoice:in_1:il_1", 10, ends=timedelta())
    assert (await read(world))["balance"] == 0
    await tend(world)
    assert await lines(world) == [("grant", 10), ("expiry", -10)]


async def test_a_cause_grants_once_and_then_only_the_difference(world: World) -> None:
    for number in (100, 100, 120, 120, 90, 120):
        await grant(world, "payment:pi_1", number, payment_intent_id="pi_1")
    assert await lines(world) == [
        ("grant", 100), ("grant", 20), ("claw_back", -30), ("reinstatement", 30),
    ]  # fmt: skip
    assert {str(e["metadata"]) for e in (await read(world))["data"]} == {
        "{'payment_intent_id': 'pi_1'}"
    }


async def left(world: World) -> list[tuple[str, int]]:
    """What is left of each lot, in the order of use."""
    return [(lot["source"], lot["remaining"]) for lot in (await read(world))["lots"]]


async def test_a_claw_back_takes_its_own_lot_first(world: World) -> None:
    await grant(world, "payment:pi_own", 50)
    await grant(world, "payment:pi_soon", 10, ends=DAY)
    await worth(world, "payment:pi_own", 5)
    assert await left(world) == [("payment:pi_soon", 10), ("payment:pi_own", 5)]


async def test_what_its_lot_does_not_have_is_taken_from_what_ends_first_and_then_owed(
    world: World,
) -> None:
    await grant(world, "payment:pi_own", 50, ends=DAY)
    await grant(world, "payment:pi_late", 10, ends=9 * DAY)
    await grant(world, "payment:pi_soon", 10, ends=2 * DAY)
    await spend(world, 35)
    await worth(world, "payment:pi_own", 30)
    assert await left(world) == [("payment:pi_soon", 5), ("payment:pi_late", 10)]
    await worth(world, "payment:pi_own", 0)
    assert (await lines(world))[-3:] == [("claw_back", -5), ("claw_back", -10), ("debt", -15)]
    found = await read(world)
    assert (found["balance"], found["debt"]) == (0, 15)
    assert (await spend(world, 1, status=409))["balance"] == 0


async def test_what_it_took_last_it_gives_back_first(world: World) -> None:
    await grant(world, "payment:pi_own", 50, ends=DAY)
    await grant(world, "payment:pi_other", 100)
    await spend(world, 30)
    await worth(world, "payment:pi_own", 0)
    assert await left(world) == [("payment:pi_other", 70)]
    await worth(world, "payment:pi_own", 30)
    assert await left(world) == [("payment:pi_other", 100)]
    await worth(world, "payment:pi_own", 50)
    assert await left(world) == [("payment:pi_own", 20), ("payment:pi_other", 100)]


async def test_new_credits_pay_a_debt_first(world: World) -> None:
    await grant(world, "payment:pi_1", 50)
    await spend(world, 50)
    await worth(world, "payment:pi_1", 0)
    some = await add(world, 20)
    assert (some["balance"], some["debt"]) == (0, 30)
    enough = await add(world, 40, reference="gift")
    assert (enough["balance"], enough["debt"]) == (10, 0)
    assert (await lines(world))[3:] == [
        ("grant", 20), ("claw_back", -20), ("debt_payment", 20),
        ("grant", 40), ("claw_back", -30), ("debt_payment", 30),
    ]  # fmt: skip
    assert await add(world, 40, reference="gift") == enough


async def test_what_is_given_back_returns_to_where_it_was_taken(world: World) -> None:
    await grant(world, "payment:pi_own", 50)
    await grant(world, "payment:pi_other", 30, ends=9 * DAY)
    await spend(world, 50)
    await worth(world, "payment:pi_own", 0)
    assert (await read(world))["debt"] == 20
    await add(world, 100)
    assert (await read(world))["balance"] == 80
    await worth(world, "payment:pi_own", 50)
    found = await read(world)
    assert (found["balance"], found["debt"]) == (130, 0)
    assert [(lot["granted"], lot["remaining"]) for lot in found["lots"]] == [(50, 30), (100, 100)]


async def test_what_comes_back_to_a_lot_that_is_over_is_over_too(world: World) -> None:
    await grant(world, "payment:pi_1", 50, ends=DAY)
    await worth(world, "payment:pi_1", 20)
    world.clock.ahead = 2 * DAY
    await worth(world, "payment:pi_1", 50)
    assert (await lines(world))[2:] == [
        ("expiry", -20), ("reinstatement", 30), ("expiry", -30),
    ]  # fmt: skip


async def test_what_one_cause_gets_back_pays_what_another_still_owes(world: World) -> None:
    await grant(world, "payment:pi_a", 50)
    await worth(world, "payment:pi_a", 0)
    await grant(world, "payment:pi_b", 30)
    await spend(world, 30)
    await worth(world, "payment:pi_b", 0)
    assert (await read(world))["debt"] == 30
    await worth(world, "payment:pi_a", 50)
    found = await read(world)
    assert (found["balance"], found["debt"]) == (20, 0)
    await worth(world, "payment:pi_b", 30)
    assert (await read(world))["balance"] == 50


async def test_a_key_stands_for_one_act_and_one_answer(world: World) -> None:
    await add(world, 100)
    key = {"Idempotency-Key": "k-1"}
    first = await spend(world, 10, headers=key)
    await spend(world, 5)
    assert await spend(world, 10, headers=key) == first
    assert (await read(world))["balance"] == 85
    reused = await spend(world, 11, headers=key, status=422)
    assert reused["code"] == "idempotency_key_reused"
    path = "/financial/credits/{}/spend"
    await add(world, 100, user="u-2", headers=key)
    for user in ("u-1", "u-2"):  # another account is another request
        status = 200 if user == "u-1" else 422
        await send(world, path.format(user), {"amount": 1}, status, {"Idempotency-Key": "k-2"},
                   **SERVICE)  # fmt: skip


async def test_a_reference_stands_for_one_act_whoever_repeats_it(world: World) -> None:
    await add(world, 100)
    first = await spend(world, 10, reference="job-1")
    again = await send(
        world, "/financial/credits/u-1/spend", {"amount": 10, "reference": "job-1"}, 200, {},
        **SERVICE,
    )  # fmt: skip
    assert again == first
    other = await spend(world, 11, reference="job-1", status=409)
    assert "10 credits" in other["detail"]
    await add(world, 7, reference="job-1")
    await add(world, 7, user="u-2", reference="job-1")
    assert (await read(world))["balance"] == 97


async def test_of_fifty_at_once_as_many_succeed_as_there_are_credits_for(world: World) -> None:
    await add(world, 100)
    before = CREDIT_SHORTFALLS._value.get()
    headers = world.bearer()
    path = "/api/v1/financial/credits/u-1/spend"
    answers = await asyncio.gather(
        *(world.api.post(path, json={"amount": 10}, headers=headers) for _ in range(50))
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 10 + [409] * 40
    refused = [a for a in answers if a.status_code == 409]
    assert {a.json()["code"] for a in refused} == {"insufficient_credits"}
    assert {a.headers["content-type"] for a in refused} == {"application/problem+json"}
    assert sorted(a.json()["balance"] for a in answers if a.status_code == 200) == [
        *range(0, 100, 10)
    ]
    assert CREDIT_SHORTFALLS._value.get() - before == 40
    assert (await read(world))["balance"] == 0


async def test_twenty_with_one_reference_at_once_are_one(world: World) -> None:
    await add(world, 100)
    answers = await together(*(spend(world, 10, reference="job") for _ in range(20)))
    assert all(answer == answers[0] for answer in answers), answers
    assert (await read(world))["balance"] == 90


async def test_what_nobody_is_known_for_waits_and_is_granted_when_he_is(world: World) -> None:
    customer = (await world.at_stripe("POST", "/v1/customers"))["id"]
    alerts = ALERTS.labels(kind="credits_waiting")._value

    async def paid(number: int) -> None:
        now = world.ctx.clock.now()
        given = Grant(source="invoice:in_1:il_1", credits=number, credit_type="subscription")
        async with world.ctx.db.transaction() as tx:
            note = Note(now=now, metadata={"invoice_id": "in_1"})
            await grant_to_customer(tx, customer, given, note)

    await paid(100)
    await paid(80)
    before = alerts.get()
    for ahead, told in ((timedelta(hours=23), 0), (timedelta(hours=24), 1), (3 * DAY, 1)):
        world.clock.ahead = ahead
        await tend(world)
        assert (alerts.get() - before, await lines(world)) == (told, [])
    body = {"stripe_customer_id": customer}
    await world.ask("PUT", "/customers/u-1", body, role="service", user="shop")
    await tend(world)
    await tend(world)
    assert await lines(world) == [("grant", 80)]
    assert (await read(world))["data"][0]["metadata"] == {"invoice_id": "in_1"}
    assert await world.rows("select 1 from waiting_grants") == []
    await paid(50)
    assert (await read(world))["balance"] == 50


async def test_what_waits_for_a_user_who_came_meanwhile_is_counted_once(world: World) -> None:
    customer = (await world.at_stripe("POST", "/v1/customers"))["id"]
    given = Grant(source="invoice:in_1:il_1", credits=100, credit_type="subscription")
    note = Note(now=world.ctx.clock.now())
    async with world.ctx.db.transaction() as tx:
        await grant_to_customer(tx, customer, given, note)
    body = {"stripe_customer_id": customer}
    await world.ask("PUT", "/customers/u-1", body, role="service", user="shop")

    async def heard_again() -> None:
        async with world.ctx.db.transaction() as tx:
            await locked(tx, [root_of("u-1")])
            await grant_to_customer(tx, customer, given, note)

    outcomes = await together(heard_again(), tend(world), heard_again(), tend(world))
    assert outcomes == [None] * 4
    assert await lines(world) == [("grant", 100)]
    assert await world.rows("select 1 from waiting_grants") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount": 0},
        {"amount": -5},
        {"amount": "10"},
        {"amount": 1.5},
        {"amount": 10, "reference": ""},
        {"amount": 10, "reason": "a\0b"},
        {"amount": 10, "color": "red"},
        {"amount": 10**12},
    ],
)
async def test_what_is_no_amount_is_refused_and_changes_nothing(world: World, body: Any) -> None:
    for act in ("add", "spend"):
        answer = await send(world, f"/financial/credits/u-1/{act}", body, 422, {}, **SERVICE)
        assert answer["code"] == "invalid_request"
    assert await world.rows("select 1 from credit_accounts") == []


@pytest.mark.parametrize(
    "statement",
    [
        "update credit_entries set amount = amount + 1",
        "delete from credit_entries",
        "truncate credit_entries",
        "update credit_accounts set balance = balance + 1",
        "update credit_accounts set debt = 1",
        "update credit_lots set remaining = 5",
        "update credit_lots set basis = '{}'",
        "insert into credit_accounts (user_id, balance, created_at) values ('u-9', 5, now())",
    ],
)
async def test_the_database_refuses_what_is_no_entry(world: World, statement: str) -> None:
    await add(world, 10)
    with pytest.raises(asyncpg.RaiseError, match="entries alone"):
        await world.db.execute(statement)


ENTRY = """
insert into credit_entries (user_id, source, n, cause, kind, amount, lot, metadata, principal,
                            created_at)
select 'u-1', 'spend:x', 1, 'spend:x', '{kind}', {amount}, {lot}, '{{}}', 'x', now()
from credit_lots where user_id = 'u-1'
"""


@pytest.mark.parametrize(
    ("kind", "amount", "lot", "refusal"),
    [
        ("spend", -11, "id", "ck_credit_lots_remaining"),
        ("grant", -5, "id", "ck_credit_entries_amount"),
        ("spend", -5, "null", "ck_credit_entries_lot"),
        ("debt", -5, "null", "a balance and a debt"),
        ("debt_payment", 5, "null", "ck_credit_accounts_debt"),
    ],
)
async def test_the_database_refuses_entries_that_do_not_add_up(
    world: World, kind: str, amount: int, lot: str, refusal: str
) -> None:
    await add(world, 10)
    with pytest.raises(asyncpg.PostgresError, match=refusal):
        await world.db.execute(ENTRY.format(kind=kind, amount=amount, lot=lot))
