"""`payments cancel-subscription`, `change-plan` and `retry-payment`: what support does."""

import asyncio
import os
import pty
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from onboarding.commands import run
from payments.cli.asking import ask
from payments.core.errors import Conflict, Invalid, NotFound, Problem
from service.plans import GOLD, SILVER, catch_up, shelve, subscribed
from world import Json, World

Env = dict[str, str]

JANE = "u-1@example.com"
DAY = 86_400


@pytest_asyncio.fixture
async def shop(world: World) -> World:
    await shelve(world)
    return world


@pytest_asyncio.fixture
async def paid(shop: World) -> Json:
    return await subscribed(shop)


async def now(world: World, of: Json) -> Json:
    return await world.ask("GET", f"/stripe/subscriptions/{of['id']}")


async def said(env: Env, *arguments: str) -> str:
    ran = await run(*arguments, **env)
    assert ran.exit_code == 0, f"{ran.output}{ran.exception!r}"
    return ran.output


async def refused(env: Env, *arguments: str) -> str:
    ran = await run(*arguments, **env)
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.exit_code == 1
    return ran.output


async def asked(shop: World, plan: Json) -> list[Any]:
    """What people asked for; what followed from it is the system's."""
    query = "select actor, role, act from audit_log where subject = $1 order by id"
    return [row for row in await shop.rows(query, plan["id"]) if row["actor"] != "system"]


async def problem(env: Env, *arguments: str) -> Problem:
    """What `main` says in one line."""
    ran = await run(*arguments, **env)
    assert isinstance(ran.exception, Problem), ran.exception
    return ran.exception


async def customer_of(world: World, subscription: Json) -> str:
    found = await world.at_stripe("GET", f"/v1/subscriptions/{subscription['id']}")
    return str(found["customer"])


async def test_a_plan_is_canceled_at_the_end_of_what_is_paid_for(
    shop: World, paid: Json, env: Env
) -> None:
    customer = await customer_of(shop, paid)
    end = paid["current_period_end"][:10]
    told = await said(env, "cancel-subscription", JANE.upper(), "--yes")
    for part in (paid["id"], JANE, "user u-1", customer, "Silver, $29.99 each month", end):
        assert part in told
    seen = await now(shop, paid)
    assert (seen["status"], seen["cancel_at_period_end"]) == ("active", True)
    assert "ends already" in await said(env, "cancel-subscription", JANE)

    told = await said(env, "cancel-subscription", JANE, "--now", "--yes")
    assert "It ends at once." in told
    assert f"done  {paid['id']}" in told
    assert (await now(shop, paid))["status"] == "canceled"
    assert "has no subscription that has not ended" in await refused(
        env, "cancel-subscription", JANE, "--yes"
    )
    acts = await asked(shop, paid)
    assert [tuple(row) for row in acts] == [
        ("command line", "admin", "subscription.update"),
        ("command line", "admin", "subscription.cancel"),
    ]


async def test_without_a_terminal_and_without_yes_nothing_is_changed(
    shop: World, paid: Json, env: Env
) -> None:
    before = await shop.at_stripe("GET", f"/v1/subscriptions/{paid['id']}")
    for arguments in (
        ("cancel-subscription", JANE, "--now"),
        ("change-plan", JANE, "--plan", "gold"),
    ):
        told = await refused(env, *arguments)
        assert paid["id"] in told
        assert "say --yes" in told
    assert await shop.at_stripe("GET", f"/v1/subscriptions/{paid['id']}") == before
    assert await shop.rows("select * from subscription_changes") == []


async def test_on_a_terminal_it_asks_and_takes_a_no(shop: World, paid: Json, env: Env) -> None:
    code, told = await at_a_terminal("n", env, "cancel-subscription", JANE, "--now")
    assert "It ends at once." in told
    assert "Do this? [y/N]" in told
    assert "nothing was changed" in told
    assert (code, (await now(shop, paid))["status"]) == (1, "active")


async def test_what_was_changed_while_the_question_stood_is_not_charged_otherwise(
    shop: World, paid: Json, env: Env
) -> None:
    async def enlarge() -> None:
        body = {"product_id": "silver", "quantity": 5}
        await shop.ask("POST", f"/stripe/subscriptions/{paid['id']}/change-plan", body)

    asked = ("change-plan", JANE, "--plan", "gold")
    code, told = await at_a_terminal("y", env, *asked, meanwhile=enlarge)
    assert (code, "was changed meanwhile" in told) == (1, True)
    [plan] = (await now(shop, paid))["plans"]
    assert (plan["lookup_key"], plan["quantity"]) == ("silver", 5)


async def nothing() -> None: ...


async def at_a_terminal(
    answer: str,
    env: Env,
    *arguments: str,
    meanwhile: Callable[[], Awaitable[None]] = nothing,
) -> tuple[int | None, str]:
    """Run a command as somebody at a keyboard does, and answer its question."""
    keyboard, terminal = pty.openpty()
    payments = Path(sys.executable).with_name("payments")
    path = {"PATH": os.environ["PATH"], "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        payments, *arguments, env=path | env, cwd="/", stdin=terminal,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            question = await process.stdout.readuntil(b"[y/N]")
            await meanwhile()
            os.write(keyboard, f"{answer}\n".encode())
            told = question + await process.stdout.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        os.close(keyboard)
        os.close(terminal)
    return process.returncode, told.decode()


def test_with_a_live_key_the_question_says_so(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"y\n")
    live = type(world.settings.stripe_secret_key)("sk_live_x")  # type: ignore[misc]
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        ask(world.settings.model_copy(update={"stripe_secret_key": live}), ["Cancel."], yes=False)
    os.close(keyboard)
    assert "Do this with LIVE money?" in capsys.readouterr().out


async def test_who_is_unknown_is_said_to_be(shop: World, paid: Json, env: Env) -> None:
    told = await refused(env, "cancel-subscription", "nobody@example.com", "--yes")
    assert "no customer here has the address nobody@example.com" in told
    told = await refused(env, "cancel-subscription", JANE, "--subscription", "sub_none", "--yes")
    assert "sub_none is none of" in told
    assert paid["id"] in told


async def test_of_several_subscriptions_none_is_chosen_by_the_command(
    shop: World, paid: Json, env: Env
) -> None:
    other = await subscribed(shop, "backup")
    for arguments in (
        ("cancel-subscription", JANE, "--yes"),
        ("change-plan", JANE, "--plan", "gold", "--yes"),
    ):
        told = await refused(env, *arguments)
        assert "say which with --subscription" in told
        for listed in (paid, other):
            assert listed["id"] in told
    await said(env, "cancel-subscription", JANE, "--now", "--subscription", other["id"], "--yes")
    statuses = [(await now(shop, found))["status"] for found in (paid, other)]
    assert statuses == ["active", "canceled"]


async def test_of_several_customers_none_is_chosen_by_the_command(
    shop: World, paid: Json, env: Env
) -> None:
    await shop.at_stripe("POST", "/v1/customers", email=JANE.capitalize())
    await catch_up(shop)
    told = await refused(env, "cancel-subscription", JANE, "--yes")
    assert f"customers of {JANE}: 2, subscriptions: 1" in told
    assert (await now(shop, paid))["cancel_at_period_end"] is False
    await said(env, "cancel-subscription", JANE, "--subscription", paid["id"], "--yes")
    assert (await now(shop, paid))["cancel_at_period_end"] is True


async def test_a_change_of_plan_costs_what_was_shown_first(
    shop: World, paid: Json, env: Env
) -> None:
    told = await said(env, "change-plan", JANE, "--plan", "gold", "--yes")
    assert "Silver, $29.99 each month" in told
    assert "to Gold, $59.99 each month, from now on" in told
    [cost] = re.findall(r"\$(\d+\.\d\d) is charged at once", told)
    assert 0 < int(cost.replace(".", "")) <= GOLD - SILVER
    [newest, *_] = (await shop.at_stripe("GET", "/v1/invoices"))["data"]
    assert (newest["status"], newest["amount_paid"]) == ("paid", int(cost.replace(".", "")))
    [plan] = (await now(shop, paid))["plans"]
    assert (plan["lookup_key"], plan["quantity"]) == ("gold", 1)

    more = await said(env, "change-plan", JANE, "--plan", "gold", "--quantity", "3", "--yes")
    assert "to 3 x Gold" in more
    assert (await now(shop, paid))["plans"][0]["quantity"] == 3
    less = await said(env, "change-plan", JANE, "--plan", "silver", "--quantity", "1", "--yes")
    assert "is credited to the next invoices" in less
    assert {row["actor"] for row in await asked(shop, paid)} == {"command line"}


async def test_what_cannot_be_changed_to_is_refused_in_plain_words(
    shop: World, paid: Json, env: Env
) -> None:
    for plan, kind, told in (
        ("silver", Conflict, "already"),
        ("backup", Invalid, "plan group"),
        ("nothing", Invalid, "nothing on sale"),
    ):
        raised = await problem(env, "change-plan", JANE, "--plan", plan, "--yes")
        assert isinstance(raised, kind)
        assert told in raised.detail
    assert (await now(shop, paid))["plans"] == paid["plans"]


async def overdue(world: World) -> tuple[Json, str]:
    """A subscription whose renewal was declined, and the invoice of it."""
    start = 1_800_000_000
    clock = await world.at_stripe("POST", "/v1/test_helpers/test_clocks", frozen_time=start)
    card: Json = {"payment_method": "pm_card_visa", "test_clock": clock["id"], "email": JANE}
    card["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = (await world.at_stripe("POST", "/v1/customers", **card))["id"]
    body = {"stripe_customer_id": customer}
    await world.ask("PUT", "/customers/u-1", body, role="service")
    paid = await subscribed(world)
    path = "/v1/payment_methods/pm_card_chargeCustomerFail/attach"
    broken = await world.at_stripe("POST", path, customer=customer)
    path = f"/v1/subscriptions/{paid['id']}"
    await world.at_stripe("POST", path, default_payment_method=broken["id"])
    advance = f"/v1/test_helpers/test_clocks/{clock['id']}/advance"
    await world.at_stripe("POST", advance, frozen_time=start + 32 * DAY)
    await world.settle()
    await catch_up(world)
    late = await world.at_stripe("GET", path)
    assert late["status"] == "past_due"
    return paid, str(late["latest_invoice"])


async def test_an_overdue_payment_is_tried_again_by_subscription_or_by_invoice(
    shop: World, env: Env
) -> None:
    paid, invoice = await overdue(shop)
    declined = await refused(env, "retry-payment", paid["id"], "--yes")
    assert f"Collect $29.99 by {invoice}" in declined
    assert JANE in declined
    assert "pay it with another card: http" in declined
    assert "say --yes" in await refused(env, "retry-payment", invoice)
    shop.sandbox.sandbox.state.change("invoice", invoice, customer_name=None, customer_email=None)
    customer = await customer_of(shop, paid)
    assert f"of {customer}, for" in await refused(env, "retry-payment", invoice)
    assert (await now(shop, paid))["status"] == "past_due"

    path = f"/v1/subscriptions/{paid['id']}"
    await shop.at_stripe("POST", path, default_payment_method="")
    told = await said(env, "retry-payment", invoice, "--yes")
    assert f"done  {paid['id']}" in told
    assert (await now(shop, paid))["status"] == "active"
    again = await problem(env, "retry-payment", invoice, "--yes")
    assert (type(again), "is paid" in again.detail) == (Conflict, True)
    acts = await shop.rows(
        "select act from audit_log where subject = $1 and actor = 'command line'", paid["id"]
    )
    assert [row["act"] for row in acts] == ["subscription.pay", "subscription.pay"]


async def test_what_is_not_overdue_is_not_collected(shop: World, paid: Json, env: Env) -> None:
    assert "nothing is overdue" in (await problem(env, "retry-payment", paid["id"])).detail
    for unknown in ("sub_none", "in_none", JANE):
        assert isinstance(await problem(env, "retry-payment", unknown), NotFound)
    customer = await customer_of(shop, paid)
    alone = await shop.at_stripe("POST", "/v1/invoices", customer=customer)
    assert "not a subscription's" in (await problem(env, "retry-payment", alone["id"])).detail
    assert await shop.rows("select * from subscription_changes") == []
