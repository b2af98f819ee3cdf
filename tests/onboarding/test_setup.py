"""`payments setup` and `payments webhooks`: an account made ready, once."""

import re

import pytest
import stripe

from onboarding.commands import ADDRESS, run
from payments.core.errors import Invalid
from payments.domains.catalog.sync_file import SHIPPED, push, read
from payments.onboarding import endpoints, setup
from payments.onboarding.endpoints import followed, register
from service.variants import listening
from world import KEY, SECRET, Json, World

Env = dict[str, str]

WHSEC = re.compile(r"whsec_\w+")


async def registered(world: World) -> list[Json]:
    return list((await world.at_stripe("GET", "/v1/webhook_endpoints"))["data"])


async def test_setup_makes_an_account_ready_and_a_second_run_changes_nothing(
    world: World, env: Env
) -> None:
    first = await run("setup", "--url", ADDRESS, **env | {"STRIPE_WEBHOOK_SECRET": ""})
    assert first.exit_code == 0, first.output
    [secret] = WHSEC.findall(first.output)
    assert f"\nSTRIPE_WEBHOOK_SECRET={secret}" in first.output
    [made] = await registered(world)
    assert made["url"] == ADDRESS
    assert made["api_version"] == stripe.api_version
    assert set(made["enabled_events"]) == set(world.ctx.sync.registry.by_event)
    events = len(await world.events())

    again = await run("setup", "--url", ADDRESS, **env | {"STRIPE_WEBHOOK_SECRET": secret})
    assert again.exit_code == 0, again.output
    done = [line.split()[0] for line in again.output.splitlines()[1:4]]
    assert done == ["unchanged", "unchanged", "unchanged"]
    assert not WHSEC.search(again.output)
    assert (await registered(world), len(await world.events())) == ([made], events)
    acts = await world.rows("select act, details from audit_log where subject = $1", made["id"])
    assert [act["act"] for act in acts] == ["webhook_endpoint.created"]
    assert secret not in acts[0]["details"]


async def test_setup_prints_the_prices_as_lines_for_env(world: World, env: Env) -> None:
    ran = await run("setup", **env)
    printed = dict(re.findall(r"^(STRIPE_PRICE_\w+)=(price_\w+)$", ran.output, re.MULTILINE))
    assert list(printed) == [f"STRIPE_PRICE_{entry.key.upper()}" for entry in read(SHIPPED)]
    [pro] = (await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=pro"))["data"]
    assert printed["STRIPE_PRICE_PRO"] == pro["id"]
    again = await run("setup", **env, **printed)
    assert (again.exit_code, again.output.count("unchanged")) == (0, 2)


async def test_what_was_turned_in_the_dashboard_is_turned_back_as_often_as_it_is(
    world: World,
) -> None:
    events = followed(world.ctx.sync.registry)
    made = await register(world.ctx.stripe, url=ADDRESS, events=events)
    for _ in range(2):
        await world.at_stripe("POST", f"/v1/webhook_endpoints/{made.id}", disabled="true")
        assert (await register(world.ctx.stripe, url=ADDRESS, events=events)).done == "updated"
        [endpoint] = await registered(world)
        assert endpoint["status"] == "enabled"


async def test_an_endpoint_that_was_deleted_is_made_again_with_a_secret_of_its_own(
    world: World,
) -> None:
    events = followed(world.ctx.sync.registry)
    first = await register(world.ctx.stripe, url=ADDRESS, events=events)
    await world.at_stripe("DELETE", f"/v1/webhook_endpoints/{first.id}")
    second = await register(world.ctx.stripe, url=ADDRESS, events=events)
    assert (first.done, second.done) == ("created", "created")
    assert first.id != second.id
    assert first.secret != second.secret
    assert [endpoint["id"] for endpoint in await registered(world)] == [second.id]


async def test_another_version_is_replaced_beside_it_so_that_nothing_is_missed(
    world: World, env: Env
) -> None:
    form: Json = {"url": ADDRESS, "enabled_events[0]": "*"}
    old = await world.at_stripe("POST", "/v1/webhook_endpoints", **form)
    listed = await run("webhooks", "list", **env)
    assert f"{old['id']}  enabled" in listed.output
    assert "has API version of the account" in listed.output
    ran = await run("webhooks", "register", "--url", ADDRESS, **env)
    [secret] = WHSEC.findall(ran.output)
    assert f"STRIPE_WEBHOOK_SECRET_2={secret}" in ran.output
    assert f"{old['id']} posts to the same address in another API version" in ran.output
    assert {endpoint["status"] for endpoint in await registered(world)} == {"enabled"}


async def test_an_endpoint_is_planned_before_it_is_applied(world: World, env: Env) -> None:
    to = ("--url", ADDRESS)
    planned = await run("webhooks", "plan", "--check", *to, **env)
    assert (planned.exit_code, planned.output.split()[0]) == (2, "create")
    assert await registered(world) == []
    assert "created" in (await run("webhooks", "apply", *to, **env)).output
    assert (await run("webhooks", "plan", "--check", *to, **env)).exit_code == 0
    planned = await run("webhooks", "plan", *to, "--event", "topup.created", **env)
    [made] = await registered(world)
    assert planned.output.split()[:2] == ["update", made["id"]]
    assert "lacks topup.created" in planned.output
    assert await registered(world) == [made]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("payment_intent.failed", "payment_intent.payment_failed"),
        ("refund.succeeded", "refund.updated"),
        ("customer.subscription.update", "customer.subscription.updated"),
    ],
)
async def test_an_event_that_stripe_never_sends_is_refused_with_the_right_name(
    world: World, name: str, right: str
) -> None:
    with pytest.raises(Invalid, match=f"no event {name}.*{right}"):
        await setup.endpoint(world.ctx, ADDRESS, [name])
    assert await registered(world) == []


@pytest.mark.parametrize("address", ["shop.example/x", "https://shop.example", "ftp://a.b/c", ""])
async def test_an_address_that_is_none_is_refused_with_one_that_would_be(
    world: World, address: str
) -> None:
    with pytest.raises(Invalid, match=r"https://your\.host/api/v1/stripe/webhook"):
        await setup.endpoint(world.ctx, address)
    with pytest.raises(Invalid):
        endpoints.checked("http://shop.example/api/v1/stripe/webhook", live=True)


async def test_a_live_key_needs_the_word_live() -> None:
    live = {
        "ENVIRONMENT": "production", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "SECRET_KEY": KEY,
        "FRONTEND_URLS": "https://shop.example",
    }  # fmt: skip
    for command in (("setup",), ("webhooks", "register", "--url", ADDRESS)):
        ran = await run(*command, **live)
        assert ran.exit_code != 0
        assert "--live" in ran.output


async def test_the_webhook_test_proves_route_secret_and_database(world: World, env: Env) -> None:
    async with listening(world.app) as api:
        url = f"{api}/api/v1/stripe/webhook"
        ran = await run("webhooks", "test", "--url", url, **env)
        assert ran.exit_code == 0, ran.output
        [row] = await world.rows("select id, outcome from stripe_events")
        assert row["outcome"] == "ignored"
        assert f"stored {row['id']}" in ran.output
        assert SECRET not in ran.output
        assert await world.rows("select * from webhook_secrets") == [], "Stripe has used none"

        both = env | {"STRIPE_WEBHOOK_SECRET_2": "whsec_that_the_service_lacks"}
        ran = await run("webhooks", "test", "--url", url, **both)
        assert ran.exit_code == 1
        assert "restart it with this secret" in ran.output
        ran = await run("webhooks", "test", "--url", f"{api}/elsewhere", **env)
        assert "is it the address of the webhook route?" in ran.output
    ran = await run("webhooks", "test", "--url", url, **env)
    assert ran.exit_code == 1
    assert "does not answer" in ran.output


async def test_a_catalogue_turned_back_and_forth_within_a_day_is_followed_each_time(
    world: World,
) -> None:
    [adult] = [entry for entry in read(SHIPPED) if entry.key == "menu_adult"]
    dearer = adult.model_copy(update={"name": "Dinner", "unit_amount": 6000})
    for wished in (dearer, adult, dearer, adult, dearer):
        assert [done async for _, done in push(world.ctx, [wished])] == ["updated"]
        [price] = (await world.at_stripe("GET", "/v1/prices?lookup_keys[0]=menu_adult"))["data"]
        assert (price["unit_amount"], price["active"]) == (wished.unit_amount, True)
        product = await world.at_stripe("GET", "/v1/products/payments_menu_adult")
        assert product["name"] == wished.name
        assert [done async for _, done in push(world.ctx, [wished])] == ["unchanged"]


@pytest.mark.parametrize("column", ["account = 'acct_other'", "livemode = true"])
async def test_a_command_never_writes_to_another_account_or_mode(
    world: World, env: Env, column: str
) -> None:
    await world.db.execute(f"update installation set {column}")
    before = len(await world.events())
    to = ("--url", ADDRESS)
    for command in (("catalog", "apply"), ("setup", *to), ("webhooks", "register", *to)):
        ran = await run(*command, **env)
        assert ran.exit_code != 0
        said = str(ran.exception)
        for named in ("acct_sandbox (test mode)", "acct_other" if "other" in column else "(live)"):
            assert named in said
        assert "DATABASE_URL" in said
    assert await registered(world) == []
    assert len(await world.events()) == before
