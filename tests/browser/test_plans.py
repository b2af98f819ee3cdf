"""A customer buys a plan and credits in a real browser, and an admin sees what they bring."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from dev.stacks import RunningStack

pytestmark = pytest.mark.browser

GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"
CHALLENGED_CARD = "4000 0027 6000 3184"


@pytest.fixture
async def plans(page: Page, stack: RunningStack) -> Page:
    """The page of plans and credits, of a customer without a plan."""
    api, headers = f"{stack.url}/api/v1", {"Authorization": "Bearer dev-token"}
    mine_now = await page.request.get(
        f"{api}/financial/subscriptions/dev-user/summary", headers=headers
    )
    for held in (await mine_now.json())["subscriptions"]:
        ended = await page.request.delete(
            f"{api}/stripe/subscriptions/{held['id']}?now=true", headers=headers
        )
        assert ended.ok
    await page.goto(f"{stack.url}/demo/plans")
    await expect(mine(page)).not_to_have_attribute("aria-busy", "true")
    return page


@pytest.fixture
async def numbers(browser: Browser, stack: RunningStack) -> AsyncIterator[Page]:
    """The admin's page, on a phone."""
    context = await browser.new_context(locale="en-US", viewport={"width": 360, "height": 640})
    opened = await context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    await opened.goto(f"{stack.url}/demo/admin")
    yield opened
    await context.close()
    assert errors == []


def mine(page: Page) -> Locator:
    return page.get_by_role("article", name="My plan")


def credits_of(page: Page) -> Locator:
    return page.get_by_role("article", name="My credits")


async def pay_with(page: Page, card: str) -> None:
    await expect(page.get_by_text("no real money")).to_be_visible()
    await page.get_by_label("Card number").fill(card)
    await page.locator("form").get_by_role("button", name=re.compile("^(Pay|Subscribe)")).click()


async def test_a_plan_is_bought_used_changed_and_canceled_without_reloading(plans: Page) -> None:
    await plans.get_by_role("button", name="Subscribe to Starter Plan").click()
    await pay_with(plans, GOOD_CARD)
    await expect(plans.get_by_role("status")).to_contain_text("Paid $9.99.")
    await expect(mine(plans).get_by_text("active")).to_be_visible()
    await expect(credits_of(plans).get_by_text("200 credits")).to_be_visible()
    await expect(mine(plans).get_by_text("ai generation")).to_be_visible()

    await plans.get_by_label("Credits to spend").fill("20")
    await plans.keyboard.press("Enter")
    await expect(plans.get_by_role("status")).to_have_text("Spent 20 credits; 180 are left.")
    await expect(credits_of(plans).get_by_role("row").nth(1)).to_contain_text("spent: a picture")
    await expect(credits_of(plans).get_by_text("180 credits")).to_be_visible()

    await plans.get_by_role("button", name="Change to Pro Plan").click()
    dialog = plans.get_by_role("dialog", name="Change to Pro Plan?")
    await expect(dialog).to_contain_text("You pay $20.00 now")
    await plans.keyboard.press("Escape")
    await expect(mine(plans).get_by_role("heading", name="Starter Plan")).to_be_visible()
    await plans.get_by_role("button", name="Change to Pro Plan").click()
    await dialog.get_by_role("button", name="Change the plan").press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(mine(plans).get_by_role("heading", name="Pro Plan")).to_be_visible()
    await expect(mine(plans).get_by_text(re.compile(r"^\$29\.99 on "))).to_be_visible()

    await mine(plans).get_by_role("button", name="Cancel the plan").click()
    await expect(mine(plans).get_by_text("Ends on")).to_be_visible()
    await mine(plans).get_by_role("button", name="Keep the plan").click()
    await expect(mine(plans).get_by_text("Renews on")).to_be_visible()

    await plans.get_by_role("button", name="Cards and invoices").click()
    await expect(plans.get_by_text("Visa ending in 4242")).to_be_visible()


async def test_a_declined_card_says_so_and_another_one_buys_the_pack(plans: Page) -> None:
    await plans.get_by_role("button", name="Buy AI Credits - Studio Pack").click()
    await pay_with(plans, DECLINED_CARD)
    await expect(plans.get_by_role("alert")).to_contain_text("declined")
    await plans.get_by_role("link", name="Cancel").click()
    await expect(plans.get_by_role("status")).to_have_text("Nothing was charged.")
    await expect(credits_of(plans).get_by_text("+500")).to_have_count(0)

    await plans.get_by_role("button", name="Buy AI Credits - Studio Pack").click()
    await pay_with(plans, GOOD_CARD)

    await expect(plans.get_by_role("status")).to_contain_text("Paid $40.00.")
    await expect(credits_of(plans).get_by_text("+500")).to_be_visible()


async def test_a_change_that_the_card_refuses_says_so_and_changes_nothing(plans: Page) -> None:
    await plans.get_by_role("button", name="Subscribe to Starter Plan").click()
    await pay_with(plans, CHALLENGED_CARD)
    await plans.get_by_role("button", name="Complete authentication").click()
    await plans.get_by_role("button", name="Change to Pro Plan").click()
    dialog = plans.get_by_role("dialog", name="Change to Pro Plan?")
    await dialog.get_by_role("button", name="Change the plan").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("requires additional user action")
    await dialog.get_by_role("button", name="Not now").click()
    await plans.reload()
    await expect(mine(plans).get_by_role("heading", name="Starter Plan")).to_be_visible()


async def test_more_credits_than_there_are_is_refused_in_the_servers_words(plans: Page) -> None:
    await plans.get_by_label("Credits to spend").fill("999999")
    await plans.get_by_role("button", name="Spend").click()
    await expect(credits_of(plans).get_by_role("alert")).to_contain_text("999999")
    await expect(credits_of(plans).get_by_role("cell", name="-999,999")).to_have_count(0)


async def test_on_a_phone_nothing_is_cut_off(plans: Page) -> None:
    await plans.set_viewport_size({"width": 360, "height": 640})
    await expect(plans.get_by_role("heading", name="Enterprise Plan")).to_be_visible()
    await fits(plans)


async def fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_admin_sees_what_a_new_subscription_brings_each_month(
    page: Page, stack: RunningStack, numbers: Page
) -> None:
    opened = await page.request.post(
        f"{stack.url}/api/v1/stripe/create-checkout-session",
        data={"product_id": "premium_sub"},
        headers={"Authorization": "Bearer other-token"},
    )
    await page.goto((await opened.json())["url"])
    await pay_with(page, GOOD_CARD)
    await page.wait_for_url(re.compile("session_id="))
    plan = numbers.get_by_role("row", name=re.compile("Premium Plan"))
    monthly = plan.get_by_role("cell", name="$59.99")

    async with asyncio.timeout(15):  # the page shows what is known when it asks
        while not await monthly.count():
            await numbers.get_by_text("7 days").click()
            await numbers.get_by_text("90 days").click()
            await expect(numbers.locator("#numbers")).not_to_have_attribute("aria-busy", "true")

    await expect(monthly).to_be_visible()
    await expect(numbers.get_by_role("listitem").filter(has_text="MRR")).to_contain_text("$")
    await expect(numbers.get_by_role("list", name="Where USD comes from")).to_contain_text(
        "Subscriptions"
    )
    await fits(numbers)
