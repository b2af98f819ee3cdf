"""The items of S1, a platform that sells credits; docs/ITEMS.md lists them all."""

from typing import Any

import asyncpg
import pytest

from items.conftest import catch_up
from items.credits import BUYER, Bought, account, bought
from service.accounts import PACK, sell
from world import Json, World

CREDITS = f"/api/financial/credits/{BUYER}"


@pytest.fixture(scope="module")
async def pack(shop: World) -> Bought:
    return await bought(shop)


async def send(
    shop: World, method: str, path: str, body: Json | None = None, *, status: int = 200, **who: Any
) -> Json:
    """Ask at the very addresses of the document, which have no version."""
    key = who.pop("key", None)
    headers = shop.bearer(who.get("user", BUYER), who.get("role", "user"))
    headers |= {"Idempotency-Key": key} if key else {}
    answer = await shop.api.request(method, path, headers=headers, json=body)
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def add(shop: World, amount: int, **more: Any) -> Json:
    body = {"amount": amount, "reason": "a gift"}
    return await send(shop, "POST", f"{CREDITS}/add", body, user="boss", role="admin", **more)


async def spend(shop: World, amount: int, **more: Any) -> Json:
    return await send(shop, "POST", f"{CREDITS}/spend", {"amount": amount, "reason": "art"}, **more)


async def test_1_3_credits_are_bought_spent_and_accounted_for(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    await spend(shop, 5)
    await add(shop, 5)
    after = await account(shop)
    assert after["balance"] == before
    assert [entry["amount"] for entry in after["data"][:2]] == [5, -5]


async def test_1_20_a_user_reads_his_credits_and_nobody_elses(shop: World, pack: Bought) -> None:
    found = await send(shop, "GET", CREDITS)
    assert found.keys() >= {"user_id", "balance", "debt", "lots", "data", "has_more"}
    assert found["user_id"] == BUYER
    assert (await send(shop, "GET", CREDITS, user="u-other", status=404))["code"] == "not_found"


async def test_1_21_an_admin_adds_credits_and_a_user_does_not(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    added = await add(shop, 25)
    assert (added["balance"], added["entry"]["amount"]) == (before + 25, 25)
    await send(shop, "POST", f"{CREDITS}/add", {"amount": 25}, status=403)
    assert (await account(shop))["balance"] == before + 25


async def test_1_22_credits_are_spent(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    spent = await spend(shop, 10)
    assert (spent["balance"], spent["entry"]["amount"]) == (before - 10, -10)
    assert spent["entry"]["reason"] == "art"


async def test_1_32_a_payment_brings_its_credits_at_once(shop: World, pack: Bought) -> None:
    assert pack.account["balance"] == 100
    [entry] = pack.account["data"]
    assert (entry["kind"], entry["source"]) == ("grant", f"payment:{pack.payment}")


async def test_1_34_how_many_is_said_at_the_product(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    large = PACK.model_copy(
        update={"key": "credits_500", "unit_amount": 4000, "metadata": {"credit_amount": "500"}}
    )
    await sell(shop, large)
    path = "/stripe/create-payment-intent"
    await shop.confirm(await shop.ask("POST", path, {"product_id": large.key}, user=BUYER))
    await catch_up(shop)
    assert (await account(shop))["balance"] == before + 500


async def test_1_35_the_balance_is_that_of_now(shop: World, pack: Bought) -> None:
    for _ in range(3):
        spent = await spend(shop, 1)
        assert (await account(shop))["balance"] == spent["balance"]


async def test_1_36_the_ledger_cannot_be_changed(shop: World, pack: Bought) -> None:
    before = await account(shop)
    for statement in ("update credit_entries set amount = 1000000", "delete from credit_entries"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await shop.db.execute(statement)
    assert await account(shop) == before


async def test_1_37_no_balance_is_negative(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    refused = await spend(shop, before + 1, status=409)
    assert (refused["code"], refused["balance"]) == ("insufficient_credits", before)
    with pytest.raises(asyncpg.PostgresError):
        await shop.db.execute("update credit_accounts set balance = -1")
    assert (await account(shop))["balance"] == before


async def test_1_38_an_act_that_is_repeated_is_done_once(shop: World, pack: Bought) -> None:
    before = (await account(shop))["balance"]
    first = await spend(shop, 3, key="once")
    await spend(shop, 1)
    assert await spend(shop, 3, key="once") == first
    await shop.converge()
    assert (await account(shop))["balance"] == before - 4


async def test_1_44_movements_and_attempts_to_overdraw_are_counted(
    shop: World, pack: Bought
) -> None:
    async def counted(line: str) -> float:
        admin = shop.bearer("boss", "admin")
        text = (await shop.api.get("/metrics", headers=admin)).text
        return sum(float(row.split()[-1]) for row in text.splitlines() if row.startswith(line))

    lines = ('payments_credits_total{kind="spend"}', "payments_credit_shortfalls_total")
    before = [await counted(line) for line in lines]
    await spend(shop, 4)
    await spend(shop, 1_000_000, status=409)
    assert [await counted(line) for line in lines] == [before[0] + 4, before[1] + 1]
