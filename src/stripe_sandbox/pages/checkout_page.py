"""The hosted Checkout page: the order, the form, the 3DS step, the way back to the shop."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import CardDeclined, StripeError
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import NOTE
from stripe_sandbox.flows import checkout
from stripe_sandbox.flows.cards import recognise
from stripe_sandbox.flows.money import display
from stripe_sandbox.pages.rendering import form_values, notice, render, see_other

_EMAIL = "buyer@example.com"
CARD = {
    "number": "4242 4242 4242 4242",
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Jenny Rosen",
}
_TEST_NUMBERS = (
    ("4242 4242 4242 4242", "succeeds"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0027 6000 3184", "asks for authentication"),
    ("4000 0000 0000 7726", "refunds are pending first"),
    ("4000 0000 0000 5126", "refunds fail later"),
    ("4000 0000 0000 0259", "is disputed"),
    ("000123456789", "a bank debit: succeeds later"),
    ("000222222227", "a bank debit: fails later"),
    ("AT61 1904 3002 3457 3201", "a bank debit: succeeds later"),
    ("IT60 X054 2811 1010 0000 0123 456", "a bank debit: fails later"),
)


class CheckoutPage:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/c/pay/{session}", self.show, methods=["GET"]),
            Route("/c/pay/{session}", self.pay, methods=["POST"]),
            Route("/c/pay/{session}/promotion", self.redeem, methods=["POST"]),
            Route("/c/pay/{session}/authenticate", self.challenge, methods=["GET"]),
            Route("/c/pay/{session}/authenticate", self.authenticate, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _unknown()
        if session["status"] != "open":
            return _closed(session)
        return self._form(session)

    async def pay(self, request: Request) -> Response:
        values = await form_values(request)
        session = self._session(request)
        if session is None:
            return _unknown()
        try:
            with self._sandbox.work() as work:
                email, name = values.get("email", ""), values.get("name", "")
                number = values.get("number", "")
                checkout.pay(work, session, number, email=email, name=name)
                waiting = checkout.awaits_authentication(work, session)
        except CardDeclined as declined:
            return self._form(session, values, problem=str(declined))
        except StripeError as error:
            if session["status"] == "open":
                return self._form(session, values, problem=str(error))
            return see_other(f"/c/pay/{session['id']}")
        if waiting:
            return see_other(f"/c/pay/{session['id']}/authenticate")
        return await self._to_shop(session)

    async def redeem(self, request: Request) -> Response:
        values = await form_values(request)
        session = self._session(request)
        if session is None:
            return _unknown()
        try:
            with self._sandbox.work() as work:
                checkout.redeem_code(work, session, values.get("promotion_code", ""))
        except StripeError as error:
            if session["status"] == "open":
                return self._form(session, values, problem=str(error))
        return see_other(f"/c/pay/{session['id']}")

    async def challenge(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _unknown()
        with self._sandbox.work() as work:
            if not checkout.awaits_authentication(work, session):
                return see_other(f"/c/pay/{session['id']}")
        return render(
            "challenge.html",
            title="Authentication",
            amount=_total(session) if session["amount_total"] else None,
            action=f"/c/pay/{session['id']}/authenticate",
            secret=None,
        )

    async def authenticate(self, request: Request) -> Response:
        values = await form_values(request)
        session = self._session(request)
        if session is None:
            return _unknown()
        try:
            with self._sandbox.work() as work:
                succeeded = values.get("outcome") == "complete"
                checkout.authenticate(work, session, succeeded=succeeded)
        except CardDeclined as declined:
            return self._form(session, problem=str(declined))
        except StripeError:
            return see_other(f"/c/pay/{session['id']}")
        return await self._to_shop(session)

    def _session(self, request: Request) -> Body | None:
        return self._sandbox.state.get("checkout.session", request.path_params["session"])

    def _notes(self, session: Body) -> Body:
        return self._sandbox.state.get(NOTE, session["id"]) or {}

    async def _to_shop(self, session: Body) -> Response:
        """As Stripe does, give the shop a moment to hear of the payment first."""
        event = self._notes(session)["completed"]
        await self._sandbox.courier.answered(event, within=self._sandbox.config.redirect_wait)
        return see_other(checkout.success_url(session))

    def _form(
        self, session: Body, typed: dict[str, str] | None = None, *, problem: str = ""
    ) -> Response:
        total = _total(session)
        known = (session["customer_details"] or {}).get("email")
        typed = {"email": known or _EMAIL, "promotion_code": "", **CARD, **(typed or {})}
        if problem:
            typed["cvc"] = ""
        needs_card = checkout.takes_method(session)
        button = _button(session)
        return render(
            "checkout.html",
            title=button,
            session=session,
            total=total,
            lines=self._notes(session)["lines"],
            extras=_extras(session),
            typed=typed,
            problem=problem,
            email_is_known=bool(known and (session["customer_email"] or session["customer"])),
            needs_card=needs_card,
            numbers=test_numbers(session["payment_method_types"]) if needs_card else [],
            button=button,
        )


def _total(session: Body) -> str:
    return display(session["amount_total"] or 0, session["currency"] or "usd")


def _extras(session: Body) -> list[tuple[str, int]]:
    """What stands between the lines and the total."""
    details = session["total_details"] or {}
    found = (
        ("Discount", -details.get("amount_discount", 0)),
        ("Shipping", details.get("amount_shipping") or 0),
        ("Tax", details.get("amount_tax", 0)),
    )
    return [(label, amount) for label, amount in found if amount]


def _button(session: Body) -> str:
    if session["mode"] == "setup":
        return "Save card"
    if session["mode"] == "subscription":
        return f"Subscribe for {_total(session)}" if session["amount_total"] else "Start trial"
    return f"Pay {_total(session)}" if session["amount_total"] else "Complete order"


def test_numbers(types: list[str]) -> list[tuple[str, str]]:
    """What to choose from, and what each number does; a click fills the field in."""
    return [
        (number, effect)
        for number, effect in _TEST_NUMBERS
        if (found := recognise(number)) and found.type in types
    ]


def _closed(session: Body) -> Response:
    if session["status"] == "expired":
        text = "Nothing was charged. Go back to the shop to start again."
        return notice(
            "This checkout has expired", text, link=("Back to the shop", session["cancel_url"])
        )
    text = "Thank you. There is nothing more to do here."
    return notice("This order is complete", text, link=("Continue", checkout.success_url(session)))


def _unknown() -> Response:
    text = "The address is wrong, or the sandbox was emptied."
    return notice("No such checkout", text, status=404)
