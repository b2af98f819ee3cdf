"""A customer pays within the shop's page, through the stand-in for Stripe.js."""

import re

import pytest
from playwright.async_api import FrameLocator, Locator, Page, expect

pytestmark = pytest.mark.browser

GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"
CHALLENGED_CARD = "4000 0027 6000 3184"


async def book(page: Page, *, place: str, button: str = "Pay deposit") -> Locator:
    """Books a dinner and opens its payment in the page; returns the booking's card."""
    await page.get_by_label("Where").fill(place)
    await page.get_by_role("button", name="Book").click()
    card = page.get_by_role("listitem").filter(has_text=place)
    await page.get_by_label("Pay in this page").check()
    await card.get_by_role("button", name=button).click()
    return card


def element(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='Secure payment input frame']")


async def type_card(page: Page, number: str) -> None:
    await element(page).get_by_label("Card number").fill(number)
    await element(page).get_by_label("Expiry").fill("12 / 34")
    await element(page).get_by_label("CVC").fill("123")


async def pay(page: Page, card: Locator, number: str) -> None:
    await type_card(page, number)
    await card.get_by_role("button", name=re.compile(r"^Pay \$")).click()


async def answer(page: Page, button: str) -> None:
    bank = page.get_by_role("dialog").frame_locator("iframe")
    await bank.get_by_role("button", name=button).click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_card_pays_without_leaving_the_page(page: Page) -> None:
    card = await book(page, place="1 Elements Street")
    address = page.url
    await pay(page, card, GOOD_CARD)
    await expect(page.get_by_role("status")).to_have_text(
        "Paid $100.00. Your booking is confirmed."
    )
    await expect(card.get_by_text("confirmed")).to_be_visible()
    assert page.url == address


async def test_a_card_that_asks_for_3d_secure_pays_after_the_banks_page(page: Page) -> None:
    card = await book(page, place="2 Elements Street", button="Pay in full")
    await pay(page, card, CHALLENGED_CARD)
    await answer(page, "Complete authentication")
    await expect(page.get_by_role("status")).to_have_text("Paid $440.00. Your booking is paid.")


async def test_who_fails_3d_secure_is_told_and_pays_with_another_card(page: Page) -> None:
    card = await book(page, place="3 Elements Street")
    await pay(page, card, CHALLENGED_CARD)
    await answer(page, "Fail authentication")
    await expect(card.get_by_role("alert")).to_contain_text("unable to authenticate")
    await expect(card.get_by_text("pending")).to_be_visible()

    await pay(page, card, GOOD_CARD)

    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_a_declined_customer_is_told_and_pays_with_another_card(page: Page) -> None:
    card = await book(page, place="4 Elements Street")
    await pay(page, card, DECLINED_CARD)
    await expect(card.get_by_role("alert")).to_have_text("Your card was declined.")

    await pay(page, card, GOOD_CARD)

    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_what_is_wrong_with_a_number_is_said_before_anything_is_sent(page: Page) -> None:
    card = await book(page, place="5 Elements Street")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/v1/" in request.url else None)
    submit = card.get_by_role("button", name=re.compile(r"^Pay \$"))
    await expect(submit).to_be_enabled()
    sent.clear()
    for number, said in (
        ("", "Your card number is incomplete."),
        ("4242 4242 4242 4241", "Your card number is invalid."),
        (GOOD_CARD, "Your card's expiration date is incomplete."),
    ):
        await element(page).get_by_label("Card number").fill(number)
        await submit.click()
        await expect(element(page).get_by_role("alert")).to_have_text(said)
    assert sent == []


async def test_the_keyboard_alone_chooses_a_test_card_and_pays(page: Page) -> None:
    card = await book(page, place="6 Elements Street")
    await (
        element(page)
        .get_by_text("Test cards")
        .and_(element(page).locator(":visible"))
        .press("Enter")
    )
    await element(page).get_by_role("button", name=re.compile("4242: succeeds$")).press("Enter")
    await expect(element(page).get_by_label("CVC")).to_have_value("123")
    await card.get_by_role("button", name=re.compile(r"^Pay \$")).press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_a_bank_debit_pays_a_little_later(page: Page) -> None:
    card = await book(page, place="7 Elements Street")
    await element(page).get_by_label("US bank account").check()
    await element(page).get_by_label("Account number").fill("000123456789")
    await card.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    await expect(page.get_by_role("status")).to_have_text(
        "Your bank has been asked for the money …"
    )
    await expect(page.get_by_role("status")).to_contain_text("Your booking is confirmed")


async def test_on_a_phone_nothing_is_cut_off(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 640})
    card = await book(page, place="8 Elements Street")
    await type_card(page, CHALLENGED_CARD)
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert await page.evaluate(wide)
    assert await element(page).locator("body").evaluate(wide)
    await card.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    bank = page.get_by_role("dialog").frame_locator("iframe")
    await expect(bank.get_by_role("button", name="Fail authentication")).to_be_in_viewport()
    await answer(page, "Complete authentication")
    await expect(page.get_by_role("status")).to_be_in_viewport()
