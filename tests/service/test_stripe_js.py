"""Where front ends find Stripe.js, and what the demo shop's page allows for it."""

import httpx2

from payments.app import create_app
from payments.dev.shop.pages import router as shop
from service.variants import served
from world import World


def directives(answer: httpx2.Response) -> dict[str, list[str]]:
    parts = answer.headers["content-security-policy"].split(";")
    return {name: sources for name, *sources in (part.split() for part in parts)}


async def test_with_stripe_itself_the_script_is_stripes_and_the_shop_lets_it_work(
    world: World,
) -> None:
    settings = world.settings.model_copy(update={"stripe_api_base": None})
    network = httpx2.ASGITransport(app=world.sandbox)
    async with served(create_app(settings, network=network, routers=[shop])) as api:
        config = (await api.get("/api/v1/stripe/config")).json()
        allowed = directives(await api.get("/demo"))
    assert config["stripe_js"] == "https://js.stripe.com/endive/stripe.js"
    for name, host in (
        ("script-src", "https://js.stripe.com"),
        ("frame-src", "https://js.stripe.com"),
        ("frame-src", "https://hooks.stripe.com"),
        ("connect-src", "https://api.stripe.com"),
    ):
        assert host in allowed[name]
    assert allowed["default-src"] == ["'self'"]
    assert not [source for sources in allowed.values() for source in sources if "unsafe" in source]
