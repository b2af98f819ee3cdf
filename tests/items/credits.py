"""A pack of credits that was bought once, for the items that look at it."""

from dataclasses import dataclass

from items.conftest import catch_up
from payments.domains.catalog.sync_file import Entry, push
from world import Json, World

BUYER = "u-credits"
PACK = Entry(
    key="credits_100", name="AI Credits - Starter Pack", unit_amount=1000, currency="usd",
    metadata={"credit_amount": "100", "credit_type": "payg"},
)  # fmt: skip


@dataclass(frozen=True)
class Bought:
    """The payment's id, and the account as it is shown after it."""

    payment: str
    account: Json


async def bought(shop: World) -> Bought:
    """A pack of 100 credits, paid in the shop's own page; the account was empty before."""
    async for _ in push(shop.ctx, [PACK]):
        pass
    path = "/stripe/create-payment-intent"
    intent = await shop.ask("POST", path, {"product_id": PACK.key}, user=BUYER)
    await shop.confirm(intent)
    await catch_up(shop)
    return Bought(intent["id"], await account(shop))


async def account(shop: World) -> Json:
    return await shop.ask("GET", f"/financial/credits/{BUYER}", user=BUYER)
