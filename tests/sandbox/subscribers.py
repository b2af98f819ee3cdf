"""A customer with a plan, and an open link to the portal."""

from dataclasses import dataclass
from html import unescape

import httpx2
import stripe

from stripe_sandbox.testing import Bench


@dataclass(frozen=True)
class Visit:
    """A portal opened by a customer with a monthly plan, who may switch to the yearly one."""

    bench: Bench
    portal: stripe.billing_portal.Session
    subscription: str
    yearly: str

    async def page(self) -> str:
        return unescape((await self.bench.http.get(self.portal.url)).text)

    async def press(self, action: str, **form: str) -> httpx2.Response:
        form = {"subscription": self.subscription, "action": action, **form}
        return await self.bench.http.post(self.portal.url, data=form)

    async def now(self) -> stripe.Subscription:
        return await self.bench.stripe.v1.subscriptions.retrieve_async(self.subscription)


async def price(bench: Bench, product: str, amount: int, interval: str) -> str:
    created = await bench.stripe.v1.prices.create_async(
        {
            "product": product,
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
        }
    )
    return created.id


async def visit(bench: Bench, **features: object) -> Visit:
    v1 = bench.stripe.v1
    customer = await v1.customers.create_async(
        {
            "email": "jenny@example.com",
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    product = await v1.products.create_async({"name": "Tea & cake"})
    monthly = await price(bench, product.id, 1_500, "month")
    yearly = await price(bench, product.id, 12_000, "year")
    subscription = await v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": monthly}]}
    )
    offered = {"product": product.id, "prices": [monthly, yearly]}
    settings = await v1.billing_portal.configurations.create_async(
        {
            "features": {
                "invoice_history": {"enabled": True},
                "subscription_cancel": {"enabled": True},
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "products": [offered],
                },
                **features,  # type: ignore[typeddict-item]  # by name
            }
        }
    )
    portal = await v1.billing_portal.sessions.create_async(
        {"customer": customer.id, "configuration": settings.id}
    )
    return Visit(bench, portal, subscription.id, yearly)
