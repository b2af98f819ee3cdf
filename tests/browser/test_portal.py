"""The customer portal in Chromium: by keyboard alone, on a phone, and back to the shop."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from service.variants import listening
from stripe_sandbox.testing import Bench

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Portal:
    """A sandbox that a browser reaches, and one open link to a customer's portal."""

    bench: Bench
    customer: str
    url: str

    async def cards(self) -> list[str]:
        methods = self.bench.stripe.v1.customers.payment_methods
        page = await methods.list_async(self.customer)
        return [method.card.last4 for method in page.data if method.card]


@pytest.fixture
async def portal() -> AsyncIterator[Portal]:
    async with Bench.open() as bench, listening(bench.app) as url:
        customer = await bench.stripe.v1.customers.create_async({"email": "jenny@example.com"})
        configuration = await bench.stripe.v1.billing_portal.configurations.create_async(
            {
                "features": {
                    "customer_update": {"enabled": True, "allowed_updates": ["name"]},
                    "payment_method_update": {"enabled": True},
                    "invoice_history": {"enabled": True},
                }
            }
        )
        session = await bench.stripe.v1.billing_portal.sessions.create_async(
            {
                "customer": customer.id,
                "configuration": configuration.id,
                "return_url": f"{url}/?back",
            }
        )
        yield Portal(bench, customer.id, f"{url}/p/session/{session.id}")


async def visit(browser: Browser, url: str, **context: object) -> tuple[Page, list[str]]:
    """The page, and what the browser complains about."""
    page = await (await browser.new_context(**context)).new_page()  # type: ignore[arg-type]  # by name
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    return page, complaints


async def test_the_keyboard_alone_adds_and_removes_a_card(browser: Browser, portal: Portal) -> None:
    page, complaints = await visit(browser, portal.url)
    await expect(page.get_by_text("No payment method is saved.")).to_be_visible()
    await page.get_by_label("Card number").focus()
    await page.keyboard.type("4000000000000002")
    await page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    await expect(alert).to_have_text("Your card was declined.")
    await expect(alert).to_be_focused()
    await page.get_by_label("Card number").fill("")
    await page.get_by_label("Card number").focus()
    await page.keyboard.type("4242424242424242")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Jenny Rosen")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Visa ending in 4242")).to_be_visible()
    assert await portal.cards() == ["4242"]
    await page.get_by_role("button", name="Remove Visa ending in 4242").press("Enter")
    await expect(page.get_by_text("No payment method is saved.")).to_be_visible()
    assert await portal.cards() == []
    await expect(page.get_by_label("Email")).to_be_disabled()
    await page.get_by_label("Name", exact=True).fill("Jenny")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Jenny")
    await page.get_by_role("link", name="Go back").press("Enter")
    await page.wait_for_url("**/?back")
    assert complaints == []


async def test_a_phone_shows_all_of_it(browser: Browser, portal: Portal) -> None:
    page, complaints = await visit(
        browser, portal.url, viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True
    )
    for number in ("4242 4242 4242 4242", "5555 5555 5555 4444"):
        await page.get_by_label("Card number").fill(number)
        await page.get_by_role("button", name="Add card").tap()
        await expect(page.get_by_text(f"ending in {number[-4:]}")).to_be_visible()
    await page.get_by_role("button", name="Make default").tap()
    default = page.get_by_role("listitem").filter(has_text="Default")
    await expect(default.get_by_text("Visa ending in 4242")).to_be_visible()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(wide) == 0
    small = "[...document.querySelectorAll('input, .pay, .small')].map(e => e.offsetHeight)"
    assert min(height for height in await page.evaluate(small) if height) >= 38
    assert complaints == []


async def test_a_customer_walks_the_portal(browser: Browser) -> None:
    async with Bench.open() as bench, listening(bench.app) as url:
        start, subscription = await _subscribed(bench, url)
        page, complaints = await visit(browser, start)
        await page.get_by_label("Card number").fill("5555 5555 5555 4444")
        await page.get_by_role("button", name="Add card").click()
        default = page.get_by_role("listitem").filter(has_text="Default")
        await expect(default.get_by_text("Mastercard ending in 4444")).to_be_visible()
        await page.get_by_role("button", name="Switch to Large").click()
        await expect(page.get_by_text("$30.00 every month")).to_be_visible()
        invoices = page.get_by_role("region", name="Invoices").get_by_role("listitem")
        await expect(invoices).to_have_count(2)
        await page.get_by_text("Cancel the plan").click()
        await page.get_by_role("button", name="Yes, cancel it").click()
        await expect(page.get_by_text("Ends on")).to_be_visible()
        ending = await bench.stripe.v1.subscriptions.retrieve_async(subscription)
        assert (ending.status, ending.cancel_at_period_end) == ("active", True)
        await page.get_by_role("button", name="Keep the plan").click()
        await expect(page.get_by_text("Renews on")).to_be_visible()
        hosted = await invoices.first.get_by_role("link").first.get_attribute("href")
        assert hosted
        await page.goto(f"{url}{urlsplit(hosted).path}")
        await expect(page.get_by_text("$20.00").first).to_be_visible()
        assert complaints == []


async def _subscribed(bench: Bench, url: str) -> tuple[str, str]:
    """A customer with a small plan that may become a large one: the portal's link, the plan."""
    v1 = bench.stripe.v1
    small, large = [
        await v1.prices.create_async(
            {
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": "month"},
                "product_data": {"name": name},
            }
        )
        for name, amount in (("Small", 1000), ("Large", 3000))
    ]
    customer = await v1.customers.create_async(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    plan = await v1.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": small.id}]}
    )
    configuration = await v1.billing_portal.configurations.create_async(
        {
            "features": {
                "invoice_history": {"enabled": True},
                "payment_method_update": {"enabled": True},
                "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "products": [{"product": str(large.product), "prices": [large.id]}],
                    "proration_behavior": "always_invoice",
                },
            }
        }
    )
    session = await v1.billing_portal.sessions.create_async(
        {"customer": customer.id, "configuration": configuration.id}
    )
    return f"{url}/p/session/{session.id}", plan.id
