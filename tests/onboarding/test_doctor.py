"""`payments doctor` finds what is configured wrong, and prints the fix."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from onboarding.commands import ADDRESS, run
from payments.domains.portal import ensure_configuration
from payments.onboarding.setup import endpoint
from world import World

Env = dict[str, str]


@pytest_asyncio.fixture
async def healthy(world: World, env: Env) -> Env:
    """A real account after `payments setup`, whose endpoint has delivered something."""
    await endpoint(world.ctx, ADDRESS)
    await ensure_configuration(world.ctx)
    [event] = (await world.events())[:1]
    assert (await world.deliver(event)).status_code == 200
    await world.ctx.secret_uses.aclose()
    return env


async def test_a_healthy_installation_has_nothing_but_ticks_and_shows_no_secret(
    healthy: Env,
) -> None:
    ran = await run("doctor", **healthy)
    assert ran.exit_code == 0, ran.output
    assert {line[0] for line in ran.output.splitlines()} == {"✓"}
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SECRET_KEY", "DATABASE_URL"):
        assert healthy[name] not in ran.output


Plant = Callable[[World], Awaitable[Any]]


RESTRICTED = "rk_test_51Restricted"
ALLOWED = (
    "account", "products", "prices", "payment_intents", "checkout", "disputes", "events",
    "balance_transactions", "billing_portal", "webhook_endpoints", "subscriptions", "invoices",
)  # fmt: skip


async def without_refunds_and_customers(world: World) -> None:
    allow = ["customers:read", *(f"{name}:write" for name in ALLOWED)]
    answer = await world.stripe.post("/_sandbox/keys", json={"key": RESTRICTED, "allow": allow})
    assert answer.status_code == 201, answer.text


async def revoked(world: World) -> None:
    answer = await world.stripe.post("/_sandbox/keys", json={"key": RESTRICTED, "revoked": True})
    assert answer.status_code == 201, answer.text


async def a_wrong_clock(world: World) -> None:
    fault = {"path": "/v1/account", "clock_skew": 420, "times": 9}
    answer = await world.stripe.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 201, answer.text


def of_the_endpoint(**form: Any) -> Plant:
    async def plant(world: World) -> None:
        [made] = (await world.at_stripe("GET", "/v1/webhook_endpoints"))["data"]
        await world.at_stripe("POST", f"/v1/webhook_endpoints/{made['id']}", **form)

    return plant


async def another_account(world: World) -> None:
    await world.db.execute("update installation set account = 'acct_other'")


async def the_other_mode(world: World) -> None:
    await world.db.execute("update installation set livemode = true")


async def a_price_archived(world: World) -> None:
    [price] = (await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=menu_adult"))["data"]
    await world.at_stripe("POST", f"/v1/products/{price['product']}", default_price="")
    await world.at_stripe("POST", f"/v1/prices/{price['id']}", active="false")


async def no_portal(world: World) -> None:
    listed = await world.at_stripe("GET", "/v1/billing_portal/configurations")
    for found in listed["data"]:
        await world.at_stripe(
            "POST", f"/v1/billing_portal/configurations/{found['id']}", active="false"
        )


async def nothing(world: World) -> None: ...


async def never_used(world: World) -> None:
    await world.db.execute("delete from webhook_secrets")


PLANTED: dict[str, tuple[Env, Plant, str, str]] = {
    "a publishable key as secret key": (
        {"STRIPE_SECRET_KEY": "pk_test_x"}, nothing, "✗ Settings", "STRIPE_SECRET_KEY=…",
    ),
    "a test key in production": (
        {"ENVIRONMENT": "production"}, nothing, "✗ Settings", "STRIPE_SECRET_KEY=…",
    ),
    "a publishable key of the other mode": (
        {"STRIPE_PUBLISHABLE_KEY": "pk_live_x"}, nothing,
        "✗ Publishable key", "STRIPE_PUBLISHABLE_KEY=pk_test_…",
    ),
    "an API version that is not the SDK's": (
        {"STRIPE_API_VERSION": "2023-10-16"}, nothing,
        "✗ API version", "STRIPE_API_VERSION=2026-10-28.endive",
    ),
    "front ends left out": ({"FRONTEND_URLS": ""}, nothing, "! Front ends", "FRONTEND_URLS=https"),
    "a key that was revoked": (
        {"STRIPE_SECRET_KEY": RESTRICTED}, revoked, "✗ Account", "STRIPE_SECRET_KEY=…",
    ),
    "a restricted key without refunds": (
        {"STRIPE_SECRET_KEY": RESTRICTED}, without_refunds_and_customers,
        "✗ Permissions       the restricted key lacks Customers: write, Refunds: read, Refunds: w",
        "dashboard.stripe.com/apikeys",
    ),
    "a clock that is wrong": ({}, a_wrong_clock, "✗ Clock", "timedatectl set-ntp true"),
    "a database of another account": ({}, another_account, "✗ Stamp", "DATABASE_URL=…"),
    "a database of the other mode": ({}, the_other_mode, "✗ Stamp", "DATABASE_URL=…"),
    "a database that is away": (
        {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"}, nothing,
        "✗ Database", "DATABASE_URL=postgresql://",
    ),
    "no database": ({"DATABASE_URL": ""}, nothing, "! Database", "DATABASE_URL=postgresql://"),
    "a pooler that is not there": (
        {"DATABASE_POOLER": "transaction"}, nothing, "! Pooler", "DATABASE_POOLER=session",
    ),
    "an endpoint that is disabled": (
        {}, of_the_endpoint(disabled="true"),
        "✗ Webhook endpoint", f"payments webhooks register --url {ADDRESS}",
    ),
    "an endpoint without our events": (
        {}, of_the_endpoint(**{"enabled_events[0]": "charge.succeeded"}),
        "✗ Webhook endpoint", f"payments webhooks register --url {ADDRESS}",
    ),
    "a webhook secret of something else": (
        {"STRIPE_WEBHOOK_SECRET": "sk_test_oops"}, nothing,
        "✗ Webhook secrets", "STRIPE_WEBHOOK_SECRET=whsec_…",
    ),
    "a webhook secret that Stripe does not use": (
        {}, never_used, "! Deliveries", "payments webhooks test",
    ),
    "no webhook secret": (
        {"STRIPE_WEBHOOK_SECRET": ""}, nothing, "! Webhook secrets", "payments setup --url",
    ),
    "a price that is missing": ({}, a_price_archived, "✗ Catalogue", "payments catalog apply"),
    "a price held by a variable that is none": (
        {"STRIPE_PRICE_PRO": "price_test_placeholder"}, nothing, "✗ Catalogue", "STRIPE_PRICE_PRO=",
    ),
    "a portal that is not configured": ({}, no_portal, "✗ Customer portal", "payments setup"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "plant", "found", "fix"), PLANTED.values(), ids=PLANTED)
async def test_each_planted_misconfiguration_is_found_with_its_fix(
    world: World, healthy: Env, changes: Env, plant: Plant, found: str, fix: str
) -> None:
    await plant(world)
    ran = await run("doctor", **healthy | changes)
    lines = ran.output.splitlines()
    at = next((n for n, line in enumerate(lines) if line.startswith(found)), None)
    assert at is not None, ran.output
    assert lines[at + 1].strip().startswith("→")
    assert fix in lines[at + 1]
    assert ran.exit_code == (1 if found.startswith("✗") else 0)


async def test_a_missing_migration_is_found_and_what_needs_it_is_left_out(
    world: World, healthy: Env
) -> None:
    [before] = await world.rows("select version_num from alembic_version")
    await world.db.execute("update alembic_version set version_num = '0001'")
    try:
        ran = await run("doctor", "--json", **healthy)
    finally:
        await world.db.execute("update alembic_version set version_num = $1", before[0])
    findings = {finding["topic"]: finding for finding in json.loads(ran.output)}
    assert findings["Migrations"]["state"] == "failed"
    assert findings["Migrations"]["fix"] == "payments migrate"
    assert not {"Stamp", "Deliveries"} & set(findings)
    assert findings["Catalogue"]["state"] == "ok"
    assert ran.exit_code == 1
