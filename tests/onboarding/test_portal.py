"""`payments portal plan` and `apply`: the portal's configuration as code."""

from typing import Any

import pytest

from onboarding.commands import run
from world import KEY, Json, World

Env = dict[str, str]

PLANS = {"enterprise_sub", "premium_sub", "pro", "starter"}


async def configurations(world: World) -> list[Json]:
    path = "/v1/billing_portal/configurations"
    return list((await world.at_stripe("GET", path))["data"])


async def ours(world: World) -> Json:
    [found] = [each for each in await configurations(world) if each["metadata"].get("app")]
    return found


async def offered(world: World) -> set[str]:
    """The keys of the plans that the portal lets customers switch to."""
    update = (await ours(world))["features"]["subscription_update"]
    named = (
        {product["product"] for product in update["products"] or ()} if update["enabled"] else {}
    )
    return {str(id).removeprefix("payments_") for id in named}


async def test_the_portal_offers_the_plans_of_the_catalogue_and_a_second_run_changes_nothing(
    world: World, env: Env
) -> None:
    headed = env | {"PORTAL_HEADLINE": "Our pictures"}
    planned = await run("portal", "plan", "--check", **headed)
    assert planned.exit_code == 2, planned.output
    assert "There is no configuration yet" in planned.output
    assert await configurations(world) == []

    applied = await run("portal", "apply", **headed)
    assert applied.output.split()[-2:] == ["created", (await ours(world))["id"]]
    assert await offered(world) == PLANS
    found = await ours(world)
    assert found["business_profile"]["headline"] == "Our pictures"
    assert found["features"]["subscription_update"]["default_allowed_updates"] == ["price"]
    assert found["features"]["subscription_cancel"]["mode"] == "at_period_end"
    for command in (("portal", "plan", "--check"), ("portal", "apply")):
        ran = await run(*command, **headed)
        assert ran.exit_code == 0
        assert "Nothing to change" in ran.output
    assert await configurations(world) == [found]


async def test_a_plan_says_what_differs_in_words(world: World, env: Env) -> None:
    await run("portal", "apply", **env)
    form: Any = {"features[subscription_cancel][mode]": "immediately"}
    path = f"/v1/billing_portal/configurations/{(await ours(world))['id']}"
    await world.at_stripe("POST", path, **form)
    changed = env | {"PORTAL_HEADLINE": "Welcome"}
    planned = await run("portal", "plan", **changed)
    assert planned.output.splitlines() == [
        "business_profile.headline: none → Welcome",
        "features.subscription_cancel.mode: immediately → at_period_end",
    ]
    await run("portal", "apply", **changed)
    assert (await ours(world))["features"]["subscription_cancel"]["mode"] == "at_period_end"


async def test_a_plan_that_costs_something_else_is_offered_at_its_new_price(
    world: World, env: Env, tmp_path: Any
) -> None:
    await run("portal", "apply", **env)
    file = tmp_path / "plans.toml"
    file.write_text(
        '[[product]]\nkey = "pro"\nname = "Pro Plan"\nunit_amount = 3499\ninterval = "month"\n'
    )
    await run("catalog", "apply", str(file), **env)
    assert (await run("portal", "plan", "--check", **env)).exit_code == 2
    await run("portal", "apply", **env)
    [price] = (await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=pro"))["data"]
    update = (await ours(world))["features"]["subscription_update"]
    assert [product["prices"] for product in update["products"]] == [[price["id"]]]


async def test_several_groups_of_plans_cannot_be_switched_between_and_it_says_so(
    world: World, env: Env
) -> None:
    await run("portal", "apply", **env)
    group: Any = {"metadata[plan_group]": "support"}
    await world.at_stripe("POST", "/v1/products/payments_enterprise_sub", **group)
    planned = await run("portal", "plan", **env)
    assert "No plan can be switched to: the catalogue has 2 plan groups" in planned.output
    await run("portal", "apply", **env)
    assert await offered(world) == set()
    await world.at_stripe("POST", "/v1/products/payments_enterprise_sub", active="false")
    await run("portal", "apply", **env)
    assert await offered(world) == PLANS - {"enterprise_sub"}


async def test_what_was_saved_in_the_dashboard_is_used_and_never_changed(
    world: World, env: Env
) -> None:
    form: Any = {"features[invoice_history][enabled]": "true"}
    made = await world.at_stripe("POST", "/v1/billing_portal/configurations", **form)
    stored = world.sandbox.sandbox.state.table("billing_portal.configuration").rows
    stored[made["id"]]["is_default"] = True
    before = await configurations(world)
    for command in ("plan", "apply"):
        ran = await run("portal", command, **env)
        assert f"{made['id']} was saved in Stripe's dashboard" in ran.output
    assert await configurations(world) == before


@pytest.mark.parametrize("command", ["plan", "apply"])
async def test_a_live_key_needs_the_word_live_to_write(command: str) -> None:
    live = {
        "ENVIRONMENT": "production", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "SECRET_KEY": KEY,
        "FRONTEND_URLS": "https://shop.example",
    }  # fmt: skip
    ran = await run("portal", command, **live)
    assert ("say --live" in ran.output) is (command == "apply")
