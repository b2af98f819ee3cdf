"""A pack of credits that was bought once, for the items that look at it."""

from dataclasses import dataclass

from items.conftest import catch_up
from service.accounts import PACK, sell
from world import Json, World

BUYER = "u-credits"


@dataclass(frozen=True)
class Bought:
    """The payment's id, and the account as it is shown after it."""

    payment: str
    account: Json


async def bought(shop: World) -> Bought:
    """A pack of 100 credits, paid in the shop's own page; the account was empty before."""
    await sell(shop, PACK)
    path = "/stripe/create-payment-intent"
    intent = await shop.ask("POST", path, {"product_id": PACK.key}, user=BUYER)
    await shop.confirm(intent)
    await catch_up(shop)
    return Bought(intent["id"], await account(shop))


async def account(shop: World) -> Json:
    return await shop.ask("GET", f"/financial/credits/{BUYER}", user=BUYER)
