"""A customer books and pays in a real browser, and sees it without reloading."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from dev.stacks import RunningStack

PLAN = Path(__file__).resolve().parents[2] / "STRIPE_INTEGRATION.md"
pytestmark = pytest.mark.browser

GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"
CHALLENGED_CARD = "4000 0027 6000 3184"


async def book(page: Page, *, place: str, guests: int = 8) -> Locator:
    """Books a dinner at a place that no other test uses; returns its card in the list."""
    await page.get_by_label("Guests").fill(str(guests))
    await page.get_by_label("Where").fill(place)
    await page.get_by_role("button", name="Book").click()
    card = page.get_by_role("listitem").filter(has_text=place)
    await expect(card.get_by_text("pending")).to_be_visible()
    return card


async def pay_with(page: Page, card: str) -> None:
    await expect(page.get_by_text("no real money")).to_be_visible()
    await page.get_by_label("Card number").fill(card)
    await page.get_by_role("button", name=re.compile("^Pay ")).click()


async def test_a_deposit_and_then_the_rest_is_paid_and_seen_without_reloading(page: Page) -> None:
    card = await book(page, place="1 Deposit Street")
    await expect(page.get_by_role("status")).to_contain_text("$440.00")
    await card.get_by_role("button", name="Pay deposit · $100.00").click()
    await pay_with(page, GOOD_CARD)

    await expect(page.get_by_role("status")).to_have_text(
        "Paid $100.00. Your booking is confirmed."
    )
    await expect(card.get_by_text("confirmed")).to_be_visible()
    await card.get_by_role("button", name="Pay the rest · $340.00").click()
    await pay_with(page, GOOD_CARD)

    await expect(page.get_by_role("status")).to_have_text("Paid $340.00. Your booking is paid.")
    await expect(card.get_by_role("button")).to_have_count(0)
    assert "session_id" not in page.url


async def test_a_declined_customer_pays_with_another_card(page: Page) -> None:
    card = await book(page, place="2 Decline Road", guests=2)
    await card.get_by_role("button", name="Pay in full · $110.00").click()
    await pay_with(page, DECLINED_CARD)
    await expect(page.get_by_role("alert")).to_contain_text("declined")

    await pay_with(page, GOOD_CARD)

    await expect(page.get_by_role("status")).to_have_text("Paid $110.00. Your booking is paid.")


async def test_a_customer_passes_3d_secure(page: Page) -> None:
    card = await book(page, place="3 Challenge Avenue")
    await card.get_by_role("button", name="Pay deposit").click()
    await pay_with(page, CHALLENGED_CARD)
    await page.get_by_role("button", name="Complete authentication").click()
    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_a_customer_who_fails_3d_secure_is_not_charged(page: Page) -> None:
    card = await book(page, place="4 Failure Lane")
    await card.get_by_role("button", name="Pay deposit").click()
    await pay_with(page, CHALLENGED_CARD)
    await page.get_by_role("button", name="Fail authentication").click()
    await expect(page.get_by_role("alert")).to_be_visible()

    await page.get_by_role("link", name="Cancel").click()

    await expect(page.get_by_role("status")).to_contain_text("Nothing was charged")
    await expect(card.get_by_text("pending")).to_be_visible()


async def test_the_cancel_link_leads_back_to_a_booking_that_can_still_be_paid(page: Page) -> None:
    card = await book(page, place="5 Second Thoughts")
    await card.get_by_role("button", name="Pay deposit").click()
    await page.get_by_role("link", name="Cancel").click()
    await expect(page.get_by_role("status")).to_contain_text("Nothing was charged")
    await card.get_by_role("button", name="Pay deposit").click()
    await pay_with(page, GOOD_CARD)
    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_the_keyboard_alone_books_and_pays(page: Page) -> None:
    place = "6 Keyboard Court"
    await expect(page.get_by_role("radio", checked=True)).to_have_count(1)
    await page.get_by_label("Where").focus()
    await page.keyboard.press("Control+a")
    await page.keyboard.type(place)
    await page.keyboard.press("Enter")
    card = page.get_by_role("listitem").filter(has_text=place)
    await expect(card.get_by_role("button", name="Pay deposit")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.get_by_label("Card number")).to_be_visible()
    await page.get_by_label("Card number").focus()
    await page.keyboard.press("Control+a")
    await page.keyboard.type(GOOD_CARD)
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_on_a_phone_nothing_is_cut_off(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    card = await book(page, place="7 Pocket Place, with a rather long address on a small screen")
    await fits(page)
    await card.get_by_role("button", name="Pay deposit").click()
    await expect(page.get_by_label("Card number")).to_be_visible()
    await fits(page)
    await pay_with(page, GOOD_CARD)
    await expect(page.get_by_role("status")).to_be_in_viewport()


async def fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_refusal_is_shown_in_the_servers_words(page: Page) -> None:
    await page.get_by_label("Where").fill("8 Refusal Row")
    await page.evaluate("document.querySelector('[name=guests]').removeAttribute('max')")
    await page.get_by_label("Guests").fill("99999")
    await page.get_by_role("button", name="Book").click()
    await expect(page.get_by_role("alert")).to_contain_text("guests")


async def test_a_page_left_open_while_another_one_paid_says_why_nothing_is_due(page: Page) -> None:
    card = await book(page, place="9 Two Windows", guests=1)
    stale = await page.context.new_page()
    await stale.goto(page.url)
    await card.get_by_role("button", name="Pay deposit").click()
    await pay_with(page, GOOD_CARD)
    await expect(page.get_by_role("status")).to_contain_text("Your booking is")

    other = stale.get_by_role("listitem").filter(has_text="9 Two Windows")
    await other.get_by_role("button", name="Pay deposit").click()

    await expect(stale.get_by_role("status")).to_contain_text("paid")


def commands() -> list[str]:
    """The commands of the smoke test plan, as the document has them."""
    section = PLAN.read_text().partition("## Smoke test plan")[2].partition("\n## ")[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


async def test_the_smoke_plan_runs_as_it_is_written(page: Page, stack: RunningStack) -> None:
    ids: dict[str, str] = {"http://localhost:8000": stack.url}

    async def run(command: str) -> Any:
        for placeholder, real in ids.items():
            command = command.replace(placeholder, real)
        process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
        return json.loads((await process.communicate())[0])

    book, open_page, list_payments, look, refund, list_refunds = commands()
    ids["booking-123"] = (await run(book))["id"]
    await page.goto((await run(open_page))["url"])
    await pay_with(page, GOOD_CARD)
    await page.wait_for_url(re.compile("session_id="))
    [payment] = await until(lambda: run(list_payments), "succeeded")
    ids["payment-123"] = payment["id"]
    async with asyncio.timeout(15):  # Stripe balances a payment some time after it succeeded
        while True:
            if (await run(look))["total_payments"]:
                break
            await asyncio.sleep(0.2)
    refunded = await run(refund)
    assert (refunded["amount_cents"], refunded["reason"]) == (5000, "requested_by_customer")
    [payment] = await until(lambda: run(list_payments), "partially_refunded")
    assert payment["refunded_cents"] == 5000
    [listed] = (await run(list_refunds))["data"]
    assert (listed["id"], listed["status"]) == (refunded["id"], "succeeded")


async def until(ask: Any, status: str) -> list[Any]:
    """The payments, once the worker has made them so."""
    async with asyncio.timeout(15):
        while True:
            data: list[Any] = (await ask())["data"]
            if [payment["status"] for payment in data] == [status]:
                return data
            await asyncio.sleep(0.1)
