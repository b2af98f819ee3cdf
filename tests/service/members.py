"""Users with a plan whose customer lives by a test clock, and the service's clock beside it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from service.accounts import lines, read, tend
from service.plans import catch_up, plan
from world import Json, World

START = 1_800_000_000
"""Eight in the morning of 15 January 2027, in UTC."""

CREDITS: Any = {"credit_amount": "100", "credit_type": "subscription"}


def at(seconds: int) -> str:
    """How the API writes one of Stripe's times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Member:
    """A customer on a clock; `user` is whom he is linked to, once he is."""

    world: World
    customer: str
    clock: str
    user: str = "u-1"
    now: int = START

    @classmethod
    async def join(
        cls, world: World, *, card: str = "pm_card_visa", user: str | None = "u-1"
    ) -> "Member":
        path = "/v1/test_helpers/test_clocks"
        clock = (await world.at_stripe("POST", path, frozen_time=START))["id"]
        who: Json = {"payment_method": card, "test_clock": clock}
        who["invoice_settings[default_payment_method]"] = card
        customer = (await world.at_stripe("POST", "/v1/customers", **who))["id"]
        member = cls(world, customer, clock)
        member._keep_time()
        if user is not None:
            await member.link(user)
        return member

    async def link(self, user: str) -> None:
        body = {"stripe_customer_id": self.customer}
        await self.world.ask("PUT", f"/customers/{user}", body, role="admin")
        self.user = user

    async def subscribe(self, *prices: Json, **form: Any) -> Json:
        items = {f"items[{n}][price]": price["id"] for n, price in enumerate(prices)}
        form = {"customer": self.customer, **items, **form}
        made = await self.world.at_stripe("POST", "/v1/subscriptions", **form)
        await self.hear()
        return made

    async def go_on(self, *, days: int, hear: bool = True) -> None:
        """Time goes on, at Stripe and here, and whatever falls due on the way happens."""
        self.now += days * 86_400
        path = f"/v1/test_helpers/test_clocks/{self.clock}/advance"
        await self.world.at_stripe("POST", path, frozen_time=self.now)
        await self.world.settle()
        self._keep_time()
        if hear:
            await self.hear()

    async def hear(self) -> None:
        """What was announced arrives; then what time alone brings is done."""
        await catch_up(self.world)
        await tend(self.world)

    async def balance(self) -> int:
        found: int = (await read(self.world, self.user))["balance"]
        return found

    async def ledger(self) -> list[tuple[str, int]]:
        return await lines(self.world, self.user)

    async def invoices(self) -> list[Json]:
        """The newest first."""
        path = f"/v1/invoices?customer={self.customer}&limit=100"
        found: list[Json] = (await self.world.at_stripe("GET", path))["data"]
        return found

    async def payment_of(self, invoice: Json) -> str:
        path = f"/v1/invoice_payments?invoice={invoice['id']}"
        [paid] = (await self.world.at_stripe("GET", path))["data"]
        found: str = paid["payment"]["payment_intent"]
        return found

    async def refund(self, invoice: Json, **form: Any) -> Json:
        intent = await self.payment_of(invoice)
        made = await self.world.at_stripe("POST", "/v1/refunds", payment_intent=intent, **form)
        await self.hear()
        return made

    async def use_card(self, card: str) -> None:
        path = f"/v1/payment_methods/{card}/attach"
        method = (await self.world.at_stripe("POST", path, customer=self.customer))["id"]
        form: Json = {"invoice_settings[default_payment_method]": method}
        await self.world.at_stripe("POST", f"/v1/customers/{self.customer}", **form)

    def _keep_time(self) -> None:
        # A minute late, as events are; and so that what was paid just now is past.
        here = datetime.fromtimestamp(self.now, UTC) + timedelta(minutes=1)
        self.world.clock.ahead = here - datetime.now(UTC)


async def credit_plan(
    world: World, key: str = "silver", amount: int = 2_000, **metadata: str
) -> Json:
    """A monthly plan that brings 100 credits, unless the metadata says otherwise."""
    price = await plan(world, key, amount, **{**CREDITS, **metadata})
    await catch_up(world)
    return price
