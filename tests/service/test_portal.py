"""POST /stripe/portal-link, GET /stripe/customer-portal, and the configuration they need."""

from payments.domains.portal import ensure_configuration
from world import Json, World

LINK = "/stripe/portal-link"


async def link(world: World, body: Json | None = None, **asked: object) -> Json:
    return await world.ask("POST", LINK, body or {}, **asked)  # type: ignore[arg-type]  # by name


async def sessions(world: World) -> list[Json]:
    return [
        event["data"]["object"]
        for event in await world.events(type="billing_portal.session.created")
    ]


async def test_a_click_opens_the_portal_of_ones_own_customer(world: World) -> None:
    _, done = await ensure_configuration(world.ctx)
    assert done == "created"
    given = await link(world)
    assert given["return_url"] == "https://shop.example"
    assert (await world.stripe.get(given["url"])).status_code == 200
    back = {"return_url": "https://admin.example/account"}
    again = await link(world, back)
    assert again["url"] != given["url"]
    assert again["return_url"] == back["return_url"]
    s1 = await world.ask("GET", "/stripe/customer-portal", params=back)
    assert s1.keys() == again.keys()
    [customer] = (await world.at_stripe("GET", "/v1/customers"))["data"]
    assert customer["email"] == "u-1@example.com"
    assert {session["customer"] for session in await sessions(world)} == {customer["id"]}

    await world.at_stripe("DELETE", f"/v1/customers/{customer['id']}")
    assert (await world.stripe.get((await link(world))["url"])).status_code == 200


async def test_a_service_opens_it_for_the_user_it_names_and_a_user_for_nobody_else(
    world: World,
) -> None:
    await ensure_configuration(world.ctx)
    await link(world, {"user_id": "u-7"}, role="service")
    [customer] = (await world.at_stripe("GET", "/v1/customers"))["data"]
    assert (customer["metadata"]["user_id"], customer["email"]) == ("u-7", None)
    await link(world, {"user_id": "u-7"}, user="u-7")
    refused = await link(world, {"user_id": "u-7"}, status=403)
    assert "user_id" in refused["detail"]
    asked = {"user_id": "u-7"}
    await world.ask("GET", "/stripe/customer-portal", status=403, params=asked)
    await link(world, {"return_url": "https://evil.example/"}, status=422)
    assert len(await sessions(world)) == 2


async def test_without_a_configuration_it_says_what_to_run_and_makes_nothing(world: World) -> None:
    refused = await link(world, status=503)
    assert refused["code"] == "portal_not_configured"
    assert "payments setup" in refused["detail"]
    assert (await world.at_stripe("GET", "/v1/customers"))["data"] == []


async def test_the_configuration_is_made_once_follows_the_settings_and_leaves_others_alone(
    world: World,
) -> None:
    ours, _ = await ensure_configuration(world.ctx)
    assert await ensure_configuration(world.ctx) == (ours, "unchanged")
    path = f"/v1/billing_portal/configurations/{ours}"
    await world.stripe.post(path, data={"features[invoice_history][enabled]": "false"})
    assert await ensure_configuration(world.ctx) == (ours, "updated")
    found = await world.at_stripe("GET", path)
    assert found["default_return_url"] == "https://shop.example"
    for feature in ("customer_update", "invoice_history", "payment_method_update"):
        assert found["features"][feature]["enabled"] is True
    assert found["features"]["subscription_cancel"]["mode"] == "at_period_end"

    await world.at_stripe("POST", path, active="false")
    anew, done = await ensure_configuration(world.ctx)
    assert (done, anew != ours) == ("created", True)
    form = {"features[invoice_history][enabled]": "true"}
    theirs = (await world.stripe.post("/v1/billing_portal/configurations", data=form)).json()
    stored = world.sandbox.sandbox.state.table("billing_portal.configuration").rows
    stored[theirs["id"]]["is_default"] = True  # what saving the dashboard's settings does
    assert await ensure_configuration(world.ctx) == (theirs["id"], "unchanged")
    await link(world)
    [opened] = await sessions(world)
    assert opened["configuration"] == theirs["id"]
