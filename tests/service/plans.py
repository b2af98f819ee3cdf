"""Plans to subscribe to, and what customers do with them at Stripe."""

from typing import Any

from world import Json, World

SILVER, GOLD = 2_999, 5_999


async def plan(world: World, key: str, amount: int, **metadata: str) -> Json:
    """A monthly price with a lookup key, as the dashboard makes it."""
    said: Json = {f"metadata[{name}]": value for name, value in metadata.items()}
    product = await world.at_stripe("POST", "/v1/products", name=key.title(), **said)
    price: Json = {"product": product["id"], "currency": "usd", "unit_amount": amount}
    price |= {"recurring[interval]": "month", "lookup_key": key}
    return await world.at_stripe("POST", "/v1/prices", **price)


async def shelve(world: World) -> None:
    """Two plans of one group, and one of another."""
    await plan(world, "silver", SILVER, plan_tier="silver", feature_flags="ai_generation, export")
    await plan(world, "gold", GOLD, plan_tier="gold", feature_flags="ai_generation,support")
    await plan(world, "backup", 500, plan_group="storage", feature_flags="backup")
    await catch_up(world)


async def catch_up(world: World) -> None:
    known = {id for (id,) in await world.rows("select id from stripe_events")}
    await world.converge([event for event in await world.events() if event["id"] not in known])


async def subscribe(world: World, product: str = "silver", **more: Any) -> Json:
    body = {"product_id": product, **more.pop("body", {})}
    return await world.ask("POST", "/stripe/create-subscription", body, **more)


async def pay(world: World, made: Json, card: str = "pm_card_visa") -> None:
    """What Elements do with the secret in the customer's browser."""
    intent = made["client_secret"].partition("_secret_")[0]
    kind = "payment_intents" if made["confirms"] == "payment" else "setup_intents"
    form: Json = {"payment_method": card, "return_url": "https://shop.example/back"}
    await world.at_stripe("POST", f"/v1/{kind}/{intent}/confirm", **form)


async def subscribed(world: World, product: str = "silver", **more: Any) -> Json:
    """A subscription that is paid, and known here."""
    made = await subscribe(world, product, **more)
    await pay(world, made)
    await catch_up(world)
    return await world.ask("GET", f"/stripe/subscriptions/{made['id']}", **more)
