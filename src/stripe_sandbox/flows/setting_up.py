"""Setting up a payment method for later: attempts, and the authentication they may need."""

from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import intents
from stripe_sandbox.flows.cards import DECLINES
from stripe_sandbox.flows.declining import give_back
from stripe_sandbox.resources.payment_methods import attach, instrument_of


def new_setup_intent(work: Work, **fields: Any) -> Body:
    return intents.new(work, "setup_intent", **{"usage": "off_session", **fields})


def attempt(work: Work, intent: Body, method: Body, *, return_url: str | None = None) -> None:
    """Confirm an intent: afterwards it is succeeded, or waiting for the customer.

    Raises:
        CardDeclined: it is not, and wants another method.
    """
    intents.require_usable(intent, method)
    work.change(intent, payment_method=method["id"], last_setup_error=None, next_action=None)
    if instrument_of(work, method).authentication in ("always", "unless_set_up"):
        intents.challenge(work, intent, return_url)
    else:
        _set_up(work, intent, method)


def authenticate(work: Work, intent: Body, *, succeeded: bool) -> None:
    """The customer has answered the bank's challenge.

    Raises:
        CardDeclined: the customer failed, or the card is declined all the same.
    """
    method = intents.answer(work, intent)
    if not succeeded:
        give_back(work, intent, method, DECLINES["setup_authentication_failed"])
    _set_up(work, intent, method)


def cancel(work: Work, intent: Body, *, reason: str | None) -> None:
    intents.require_open(intent, "canceled")
    work.change(intent, status="canceled", cancellation_reason=reason, next_action=None)
    work.emit("setup_intent.canceled", intent)


def _set_up(work: Work, intent: Body, method: Body) -> None:
    instrument = instrument_of(work, method)
    if instrument.decline and not instrument.attachable:
        give_back(work, intent, method, instrument.decline)
    if intent["usage"] == "off_session":
        work.remember(method["id"], set_up=True)
    if intent["customer"]:
        attach(work, method, work.find("customer", intent["customer"]))
    work.change(intent, status="succeeded")
    work.emit("setup_intent.succeeded", intent)
