"""The 3DS step of an intent that was confirmed over the API, and the receipt of a charge."""

import secrets
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import CardDeclined
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.table import Row
from stripe_sandbox.engine.work import NOTE
from stripe_sandbox.flows import paying, setting_up
from stripe_sandbox.flows.money import display
from stripe_sandbox.pages.rendering import embeddable, form_values, notice, render, see_other


class ChallengePage:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/3ds/{intent}", self.show, methods=["GET"]),
            Route("/3ds/{intent}", self.answer, methods=["POST"]),
            Route("/receipts/{charge}", self.receipt, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        secret = request.query_params.get("client_secret", "")
        intent = self._intent(request, secret)
        if intent is None:
            return _unknown()
        session = self._note(intent).get("session")
        if session:
            return see_other(f"/c/pay/{session}/authenticate")
        if intent["status"] != "requires_action":
            return self._done(intent)
        page = render(
            "challenge.html",
            title="Authentication",
            amount=display(intent["amount"], intent["currency"]) if "amount" in intent else None,
            action=f"/3ds/{intent['id']}",
            secret=secret,
        )
        return embeddable(page)

    async def answer(self, request: Request) -> Response:
        values = await form_values(request)
        intent = self._intent(request, values.get("client_secret", ""))
        if intent is None:
            return _unknown()
        if intent["status"] == "requires_action" and "session" not in self._note(intent):
            self._authenticate(intent, succeeded=values.get("outcome") == "complete")
        return self._done(intent)

    async def receipt(self, request: Request) -> Response:
        charge = self._sandbox.state.get("charge", request.path_params["charge"])
        if charge is None:
            return _unknown()
        paid = display(charge["amount_captured"], charge["currency"])
        back = display(charge["amount_refunded"], charge["currency"])
        refunded = f", of which {back} went back" if charge["amount_refunded"] else ""
        text = f"{charge['description'] or charge['id']}: {paid} paid{refunded}."
        return notice("Receipt", text)

    def _intent(self, request: Request, secret: str) -> Body | None:
        """The intent, for whoever knows its client secret."""
        id, state = request.path_params["intent"], self._sandbox.state
        intent = state.get("payment_intent", id) or state.get("setup_intent", id)
        known = intent["client_secret"] if intent else ""
        return intent if secrets.compare_digest(known.encode(), secret.encode()) else None

    def _note(self, intent: Body) -> Row:
        return self._sandbox.state.get(NOTE, intent["id"]) or {}

    def _authenticate(self, intent: Body, *, succeeded: bool) -> None:
        flow = paying if intent["object"] == "payment_intent" else setting_up
        try:
            with self._sandbox.work() as work:
                work.keep_time_of([intent["id"]])
                flow.authenticate(work, intent, succeeded=succeeded)
        except CardDeclined:
            return  # the intent itself says so, here and at its return_url

    def _done(self, intent: Body) -> Response:
        note, object = self._note(intent), intent["object"]
        if "return_url" not in note:
            what = "payment" if object == "payment_intent" else "setup"
            return embeddable(notice("Authentication", f"The {what} is now {intent['status']}."))
        outcome = {
            object: intent["id"],
            f"{object}_client_secret": intent["client_secret"],
            "redirect_status": "failed"
            if intent["status"] == "requires_payment_method"
            else "succeeded",
        }
        address, hash_, fragment = note["return_url"].partition("#")
        glue = "&" if "?" in address else "?"
        return see_other(f"{address}{glue}{urlencode(outcome)}{hash_}{fragment}")


def _unknown() -> Response:
    return notice("No such payment", "The address is wrong, or incomplete.", status=404)
