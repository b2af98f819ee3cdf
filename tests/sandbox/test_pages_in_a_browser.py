"""The hosted page in Chromium: by keyboard alone, without JavaScript, on a phone."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
COMMAND = [sys.executable, "-c", "from stripe_sandbox.cli import main; main()", "--port", "0"]


@dataclass
class Visit:
    """A page with one open session on it, and what the browser complained about."""

    page: Page
    session: str
    sandbox: httpx2.Client
    complaints: list[str] = field(default_factory=list)

    def status(self) -> str:
        answer = self.sandbox.get(f"/v1/checkout/sessions/{self.session}").json()
        return f"{answer['status']} {answer['payment_status']}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[httpx2.Client]:
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI installs Chromium"
        pytest.skip("chromium is not installed: apt install chromium")
    with subprocess.Popen([*COMMAND, "--log-level", "error"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[3]
        with httpx2.Client(base_url=url, auth=("sk_test_1", "")) as client:
            yield client
        process.terminate()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(sandbox: httpx2.Client) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = playwright.chromium
        launched = await chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()


async def visit(browser: Browser, sandbox: httpx2.Client, **context: object) -> Visit:
    form = {
        "mode": "payment",
        "success_url": f"{sandbox.base_url}/?paid={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{sandbox.base_url}/?canceled",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "10000",
        "line_items[0][price_data][product_data][name]": "A deposit with a rather long name",
        "line_items[0][quantity]": "1",
    }
    session = sandbox.post("/v1/checkout/sessions", data=form).json()
    page = await (await browser.new_context(**context)).new_page()  # type: ignore[arg-type]  # by name
    made = Visit(page, session["id"], sandbox)
    page.on("console", lambda message: made.complaints.append(message.text))
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    await page.goto(session["url"])
    return made


async def test_the_keyboard_alone_pays(browser: Browser, sandbox: httpx2.Client) -> None:
    made = await visit(browser, sandbox)
    page = made.page
    await page.get_by_label("Email").focus()
    for text in ("k@example.com", "4000000000000002", "0140", "123", "K Key"):
        await page.keyboard.press("ControlOrMeta+A")
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    assert await alert.inner_text() == "Your card was declined."
    assert await alert.evaluate("node => node === document.activeElement")
    assert await page.get_by_label("Name on card").input_value() == "K Key"
    assert await page.get_by_label("CVC").input_value() == ""
    assert made.status() == "open unpaid"
    await page.get_by_label("Card number").fill("4242424242424242")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/?paid=cs_test_*")
    assert made.status() == "complete paid"
    assert made.complaints == []


async def test_a_test_card_is_filled_in_by_a_click(
    browser: Browser, sandbox: httpx2.Client
) -> None:
    made = await visit(browser, sandbox)
    await made.page.get_by_role("button", name="asks for authentication").click()
    number = made.page.get_by_label("Card number", exact=True)
    assert await number.input_value() == "4000 0027 6000 3184"
    await made.page.get_by_role("button", name="Pay $100.00").click()
    await made.page.get_by_role("button", name="Complete authentication").click()
    await made.page.wait_for_url("**/?paid=cs_test_*")
    assert made.complaints == []


async def test_nothing_needs_javascript(browser: Browser, sandbox: httpx2.Client) -> None:
    made = await visit(browser, sandbox, java_script_enabled=False)
    await made.page.get_by_label("Card number").fill("4000002760003184")
    await made.page.get_by_role("button", name="Pay $100.00").click()
    await made.page.get_by_role("button", name="Fail authentication").click()
    assert "unable to authenticate" in await made.page.get_by_role("alert").inner_text()
    await made.page.get_by_label("Card number").fill("4242424242424242")
    await made.page.get_by_role("button", name="Pay $100.00").click()
    await made.page.wait_for_url("**/?paid=cs_test_*")


async def test_a_phone_shows_all_of_it(browser: Browser, sandbox: httpx2.Client) -> None:
    made = await visit(
        browser, sandbox, viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True
    )
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await made.page.evaluate(wide) == 0
    sizes = "[...document.querySelectorAll('input')].map(i => getComputedStyle(i).fontSize)"
    assert set(await made.page.evaluate(sizes)) == {"16px"}
    await made.page.get_by_role("link", name="Cancel and go back").tap()
    await made.page.wait_for_url("**/?canceled")


async def test_the_dashboard_fits_a_phone_and_needs_no_mouse(
    browser: Browser, sandbox: httpx2.Client
) -> None:
    made = await visit(browser, sandbox, viewport={"width": 320, "height": 640}, is_mobile=True)
    page = made.page
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for path in ("/", "/dashboard/objects/event", f"/dashboard/objects/id/{made.session}"):
        await page.goto(f"{sandbox.base_url}{path}")
        assert await page.evaluate(wide) == 0, path
    await page.goto(f"{sandbox.base_url}/dashboard/webhooks")
    await page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="http://127.0.0.1:9/hook enabled").wait_for()
    assert await page.evaluate(wide) == 0
    await page.get_by_label("Go to the object with this id").fill(made.session)
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name=made.session).wait_for()
    assert made.complaints == []
