"""The stand-in for Stripe.js as pages of other shops call it, on another origin."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from playwright.async_api import Browser, Error, FrameLocator, Page, expect
from starlette.responses import HTMLResponse

from ports import free_port
from service.variants import listening
from stripe_sandbox.config import Config
from stripe_sandbox.testing import Bench

pytestmark = pytest.mark.browser

HTML = """<!doctype html><title>Shop</title><script src="{url}/endive/stripe.js"></script>
<div id="element"></div><script>const stripe = Stripe("pk_test_1");</script>"""


@dataclass(frozen=True)
class Shop:
    """A shop's page that has loaded the script, and the Stripe behind it."""

    bench: Bench
    page: Page
    url: str
    home: str

    @property
    def element(self) -> FrameLocator:
        return self.page.frame_locator("#element iframe")

    async def intent(self, **params: Any) -> stripe.PaymentIntent:
        wanted: dict[str, Any] = {"amount": 2_000, "currency": "usd", **params}
        return await self.bench.stripe.v1.payment_intents.create_async(wanted)  # type: ignore[arg-type]  # by name

    async def run(self, script: str, **values: object) -> Any:
        """Run a script that knows `stripe` and these values; what it returns, as JSON."""
        names = ", ".join(values)
        return await self.page.evaluate(f"async ({{ {names} }}) => {{ {script} }}", values)

    async def begin(self, call: str, **values: object) -> None:
        """Begin a call that a customer has to end; `window.done` is its promise."""
        await self.run(f"window.done = {call};", **values)

    async def mount(self, type: str, **options: object) -> None:
        """Show an element; it is ready when this returns."""
        await self.run(
            "window.elements = stripe.elements(options);"
            "const element = elements.create(type);"
            "element.mount('#element');"
            "await new Promise((ready) => element.on('ready', ready));",
            type=type,
            options=options,
        )

    async def type_card(self, number: str) -> None:
        for label, text in (("Card number", number), ("Expiry", "12/34"), ("CVC", "123")):
            await self.element.get_by_label(label).fill(text)

    async def answer_bank(self, button: str) -> None:
        bank = self.page.get_by_role("dialog").frame_locator("iframe")
        await bank.get_by_role("button", name=button).click()


@pytest.fixture
async def shop(browser: Browser) -> AsyncIterator[Shop]:
    port = free_port()
    config = Config(base_url=f"http://127.0.0.1:{port}", settle_after=3600)
    page_of_shop = HTMLResponse(HTML.format(url=config.base_url))
    async with (
        Bench.open(config) as bench,
        listening(bench.app, port=port) as url,
        listening(page_of_shop) as home,
        await browser.new_context() as context,
    ):
        page = await context.new_page()
        page.set_default_timeout(10_000)
        await page.goto(f"{home}/pay")
        yield Shop(bench, page, url, home)


async def test_by_default_the_customer_returns_to_the_shops_address(shop: Shop) -> None:
    intent = await shop.intent()
    await shop.mount("payment", clientSecret=intent.client_secret)
    await shop.type_card("4242424242424242")
    await shop.begin(
        "stripe.confirmPayment({ elements, confirmParams: { return_url } })",
        return_url=f"{shop.home}/back?a=1",
    )
    await shop.page.wait_for_url(f"{shop.home}/back?*")
    query = parse_qs(urlsplit(shop.page.url).query)
    assert query == {
        "a": ["1"],
        "payment_intent": [intent.id],
        "payment_intent_client_secret": [intent.client_secret],
        "redirect_status": ["succeeded"],
    }


async def test_errors_are_answers_with_stripes_codes(shop: Shop) -> None:
    intent = await shop.intent()
    await shop.mount("payment", clientSecret=intent.client_secret)
    confirm = "return stripe.confirmPayment({ elements, redirect: 'if_required' });"
    assert (await shop.run(confirm))["error"] == {
        "type": "validation_error",
        "code": "incomplete_number",
        "message": "Your card number is incomplete.",
    }
    assert (await shop.run("return elements.submit();"))["error"]["code"] == "incomplete_number"
    await shop.type_card("4000000000009995")
    assert await shop.run("return elements.submit();") == {"selectedPaymentMethod": "card"}
    error = (await shop.run(confirm))["error"]
    assert (error["type"], error["code"]) == ("card_error", "card_declined")
    assert error["decline_code"] == "insufficient_funds"
    assert error["payment_intent"]["status"] == "requires_payment_method"
    wrong = f"{intent.id}_secret_wrong"
    for method in ("retrievePaymentIntent", "confirmCardPayment", "retrieveSetupIntent"):
        failed = await shop.run("return stripe[method](secret);", method=method, secret=wrong)
        assert failed["error"]["type"] == "invalid_request_error", method


async def test_the_card_element_pays_and_handles_what_the_server_left_open(shop: Shop) -> None:
    intent = await shop.intent()
    await shop.mount("card")
    await shop.type_card("4242424242424242")
    paid = await shop.run(
        "return stripe.confirmCardPayment(secret, {"
        "  payment_method: { card: elements.getElement('card'), billing_details: { name: 'Jo' } },"
        "});",
        secret=intent.client_secret,
    )
    assert paid["paymentIntent"]["status"] == "succeeded"
    method = await shop.bench.stripe.v1.payment_methods.retrieve_async(
        paid["paymentIntent"]["payment_method"]
    )
    assert method.billing_details.name == "Jo"
    by_server = await shop.intent(payment_method="pm_card_authenticationRequired", confirm=True)
    await shop.begin(
        "stripe.handleNextAction({ clientSecret })", clientSecret=by_server.client_secret
    )
    await shop.answer_bank("Complete authentication")
    assert (await shop.run("return done;"))["paymentIntent"]["status"] == "succeeded"


async def test_a_setup_intent_is_confirmed_with_3d_secure(shop: Shop) -> None:
    intent = await shop.bench.stripe.v1.setup_intents.create_async({})
    await shop.mount("payment", clientSecret=intent.client_secret)
    await shop.type_card("4000002760003184")
    await shop.begin("stripe.confirmSetup({ elements, redirect: 'if_required' })")
    await shop.answer_bank("Complete authentication")
    assert (await shop.run("return done;"))["setupIntent"]["status"] == "succeeded"


async def test_the_banks_page_that_is_closed_leaves_the_payment_open(shop: Shop) -> None:
    intent = await shop.intent()
    await shop.begin(
        "stripe.confirmCardPayment(secret, { payment_method: 'pm_card_authenticationRequired' })",
        secret=intent.client_secret,
    )
    await expect(shop.page.get_by_role("dialog")).to_be_visible()
    await shop.page.get_by_role("button", name="Close").click()
    error = (await shop.run("return done;"))["error"]
    assert error["code"] == "payment_intent_authentication_failure"
    assert error["payment_intent"]["status"] == "requires_action"


async def test_a_method_is_made_before_there_is_an_intent(shop: Shop) -> None:
    await shop.mount("payment", mode="payment", amount=2_000, currency="usd")
    await shop.element.get_by_label("SEPA debit").check()
    await shop.element.get_by_label("IBAN").fill("AT61 1904 3002 3457 3201")
    made = await shop.run("return stripe.createPaymentMethod({ elements });")
    assert made["paymentMethod"]["type"] == "sepa_debit"


async def test_a_checkout_session_opens_by_its_id(shop: Shop) -> None:
    session = await shop.bench.stripe.v1.checkout.sessions.create_async(
        {
            "mode": "payment",
            "success_url": f"{shop.home}/success",
            "line_items": [
                {
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 2_000,
                        "product_data": {"name": "Tea"},
                    },
                    "quantity": 1,
                }
            ],
        }
    )
    await shop.page.evaluate(
        "(id) => void stripe.redirectToCheckout({ sessionId: id })", session.id
    )
    await shop.page.wait_for_url(f"{shop.url}/c/pay/{session.id}")


async def test_an_element_tells_what_happens_in_it_and_looks_like_the_page(shop: Shop) -> None:
    await shop.mount(
        "payment",
        mode="payment",
        paymentMethodTypes=["card"],
        appearance={"theme": "night", "variables": {"colorPrimary": "rgb(1, 2, 3)"}},
    )
    await shop.run(
        "window.told = [];elements.getElement('payment').on('change', (event) => told.push(event));"
    )
    await expect(shop.element.get_by_label("US bank account")).to_be_hidden()
    await shop.type_card("4242424242424242")
    await shop.page.wait_for_function("told.length === 3")
    told = await shop.run("return told;")
    assert [event["complete"] for event in told] == [False, False, True]
    assert told[-1]["value"] == {"type": "card"}
    accent = "getComputedStyle(document.documentElement).getPropertyValue('--accent')"
    assert await shop.element.locator("body").evaluate(accent) == "rgb(1, 2, 3)"
    await shop.run("elements.getElement('payment').destroy();")
    await expect(shop.page.locator("iframe")).to_have_count(0)


async def test_live_keys_are_refused(shop: Shop) -> None:
    with pytest.raises(Error, match="never a live one"):
        await shop.run("Stripe('pk_live_1');")


async def test_the_official_loaders_believe_it(shop: Shop) -> None:
    """What @stripe/stripe-js and @stripe/react-stripe-js look for."""
    found = await shop.run(
        "const made = Stripe.apply(undefined, ['pk_test_1', {}]);"
        "made._registerWrapper({ name: 'stripe-js', version: '10.2.1', startTime: 0 });"
        "made.registerAppInfo({ name: 'react-stripe-js' });"
        "const needed = ['elements', 'createToken', 'createPaymentMethod', 'confirmCardPayment'];"
        "return [Stripe.version, ...needed.map((name) => typeof made[name])];"
    )
    assert found == ["endive", *["function"] * 4]
