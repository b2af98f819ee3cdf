"""Customers who subscribe at Stripe itself, each to something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from world import Json, World

DAY = 86_400


@dataclass(frozen=True)
class Subscribers:
    """What the merchant sells, and what its customers do, without this service."""

    world: World

    async def price(
        self,
        amount: int,
        interval: str = "month",
        count: int = 1,
        currency: str = "usd",
        **more: Any,
    ) -> str:
        form: Json = {"currency": currency, "unit_amount": amount, "product_data[name]": "Plan"}
        form |= {"recurring[interval]": interval, "recurring[interval_count]": count, **more}
        return str((await self.world.at_stripe("POST", "/v1/prices", **form))["id"])

    async def coupon(self, **form: Any) -> str:
        return str((await self.world.at_stripe("POST", "/v1/coupons", **form))["id"])

    async def clock(self, *, days_ago: float) -> str:
        then = self.world.ctx.clock.now() - timedelta(days_ago)
        form = {"frozen_time": int(then.timestamp())}
        return str(
            (await self.world.at_stripe("POST", "/v1/test_helpers/test_clocks", **form))["id"]
        )

    async def advance(self, clock: str, *, days: float) -> None:
        path = f"/v1/test_helpers/test_clocks/{clock}"
        now = (await self.world.at_stripe("GET", path))["frozen_time"]
        await self.world.at_stripe("POST", f"{path}/advance", frozen_time=now + int(days * DAY))
        await self.world.settle()

    async def customer(self, card: str | None = "pm_card_visa", on: str | None = None) -> str:
        form: Json = {"test_clock": on} if on else {}
        if card:
            form["payment_method"] = form["invoice_settings[default_payment_method]"] = card
        return str((await self.world.at_stripe("POST", "/v1/customers", **form))["id"])

    async def subscribe(
        self,
        *prices: str,
        quantity: int = 1,
        off: Sequence[str] = (),
        card: str | None = "pm_card_visa",
        on: str | None = None,
        **form: Any,
    ) -> Json:
        """A subscription of a new customer, unless `customer` is among the `form`."""
        form = {"customer": form.get("customer") or await self.customer(card, on), **form}
        form |= {f"items[{n}][price]": price for n, price in enumerate(prices)}
        form |= {f"items[{n}][quantity]": quantity for n in range(len(prices))}
        form |= {f"discounts[{n}][coupon]": coupon for n, coupon in enumerate(off)}
        return await self.world.at_stripe("POST", "/v1/subscriptions", **form)

    async def change(self, subscription: Json, **form: Any) -> Json:
        return await self.world.at_stripe("POST", f"/v1/subscriptions/{subscription['id']}", **form)

    async def end(self, subscription: Json) -> None:
        await self.world.at_stripe("DELETE", f"/v1/subscriptions/{subscription['id']}")

    async def break_card(self, subscription: Json) -> None:
        """The next payment will be declined."""
        path = "/v1/payment_methods/pm_card_chargeCustomerFail/attach"
        broken = await self.world.at_stripe("POST", path, customer=subscription["customer"])
        await self.change(subscription, default_payment_method=broken["id"])

    async def fall_due(self, subscription: Json, *, days: float) -> None:
        """Time goes by, and a payment is declined."""
        await self.break_card(subscription)
        await self.advance(subscription["test_clock"], days=days)
