"""Plans and bills in the customer portal: cancel, keep, switch, and what the settings forbid."""

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


async def test_the_plan_and_its_bills_are_shown(bench: Bench) -> None:
    visited = await visit(bench)
    page = await visited.page()
    for text in ("Tea & cake, $15.00 per month", "Renews on", "Tea & cake, $120.00 per year"):
        assert text in page
    assert "You have no" not in page
    (bill,) = (await bench.stripe.v1.invoices.list_async()).data
    assert f'<a href="{bill.hosted_invoice_url}">{bill.number}</a>' in page
    assert "$15.00</span>" in page


async def test_a_plan_is_cancelled_and_kept_after_all(bench: Bench) -> None:
    visited = await visit(bench)
    assert (await visited.press("cancel")).status_code == 303
    assert (await visited.now()).cancel_at_period_end
    assert "Ends on" in await visited.page()
    await visited.press("keep")
    assert not (await visited.now()).cancel_at_period_end
    assert "Renews on" in await visited.page()


async def test_a_plan_is_cancelled_at_once_where_the_settings_say_so(bench: Bench) -> None:
    visited = await visit(bench, subscription_cancel={"enabled": True, "mode": "immediately"})
    assert (await visited.press("cancel")).status_code == 303
    assert (await visited.now()).status == "canceled"
    assert "You have no subscriptions." in await visited.page()


async def test_a_plan_is_switched(bench: Bench) -> None:
    visited = await visit(bench)
    await visited.press("switch", price=visited.yearly)
    assert (await visited.now())["items"]["data"][0]["price"]["id"] == visited.yearly
    assert "customer.subscription.updated" in await bench.events()
    assert "Tea & cake, $120.00 per year</p>" in await visited.page()


async def test_only_offered_plans_and_own_subscriptions_are_touched(bench: Bench) -> None:
    visited, stranger = await visit(bench), await visit(bench)
    product = await bench.stripe.v1.products.create_async({"name": "Odd"})
    odd = await price(bench, product.id, 100, "month")
    refused = await visited.press("switch", price=odd)
    assert "do not offer this plan" in refused.text
    missing = await visited.press("cancel", subscription=stranger.subscription)
    assert "No such subscription" in missing.text
    assert not (await stranger.now()).cancel_at_period_end


async def test_what_the_settings_forbid_is_neither_shown_nor_done(bench: Bench) -> None:
    visited = await visit(
        bench, subscription_cancel={"enabled": False}, subscription_update={"enabled": False}
    )
    page = await visited.page()
    assert "Cancel plan" not in page
    assert "Switch plan" not in page
    for action in ("cancel", "switch"):
        assert "do not allow this" in (await visited.press(action)).text
    assert (await visited.now()).status == "active"
