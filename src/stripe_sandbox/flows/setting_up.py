"""Setting up a payment method for later: attempts, and the authentication they may need."""

import secrets
from dataclasses import replace
from typing import Any, NoReturn

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import AUTHENTICATION_FAILED, Decline
from stripe_sandbox.flows.declining import declined, last_error
from stripe_sandbox.flows.paying import (
    OPEN,
    TYPES,
    next_action,
    permitted_types,
    require_usable,
    unexpected_state,
)
from stripe_sandbox.resources.payment_methods import attach, instrument_of

_UNAUTHENTICATED = replace(AUTHENTICATION_FAILED, code="setup_intent_authentication_failure")


def new_setup_intent(work: Work, **fields: Any) -> Body:
    id = work.new_id("setup_intent")
    waits_for = "confirmation" if fields.get("payment_method") else "payment_method"
    intent = work.create(
        "setup_intent",
        id=id,
        **{
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"},
            "client_secret": f"{id}_secret_{secrets.token_hex(12)}",
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": permitted_types(TYPES, fields),
            "status": f"requires_{waits_for}",
            "usage": "off_session",
            **fields,
        },
    )
    work.emit("setup_intent.created", intent)
    return intent


def attempt(work: Work, intent: Body, method: Body, *, return_url: str | None = None) -> None:
    """Confirm an intent: afterwards it is succeeded, or waiting for the customer.

    Raises:
        CardDeclined: it is not, and wants another method.
    """
    require_usable(intent, method)
    work.change(intent, payment_method=method["id"], last_setup_error=None, next_action=None)
    if instrument_of(work, method).authentication not in ("always", "unless_set_up"):
        _set_up(work, intent, method)
        return
    action = next_action(work, intent, return_url)
    work.change(intent, status="requires_action", next_action=action)
    work.emit("setup_intent.requires_action", intent)


def authenticate(work: Work, intent: Body, *, succeeded: bool) -> None:
    """The customer has answered the bank's challenge.

    Raises:
        CardDeclined: the customer failed, or the card is declined all the same.
    """
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, "authenticated")
    method = work.find("payment_method", intent["payment_method"])
    work.change(intent, next_action=None)
    if not succeeded:
        _fail(work, intent, method, _UNAUTHENTICATED)
    _set_up(work, intent, method)


def cancel(work: Work, intent: Body, *, reason: str | None) -> None:
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, "canceled", OPEN)
    work.change(intent, status="canceled", cancellation_reason=reason, next_action=None)
    work.emit("setup_intent.canceled", intent)


def _set_up(work: Work, intent: Body, method: Body) -> None:
    instrument = instrument_of(work, method)
    if instrument.decline and not instrument.attachable:
        _fail(work, intent, method, instrument.decline)
    if intent["usage"] == "off_session":
        work.remember(method["id"], set_up=True)
    if intent["customer"]:
        attach(work, method, work.find("customer", intent["customer"]))
    work.change(intent, status="succeeded")
    work.emit("setup_intent.succeeded", intent)


def _fail(work: Work, intent: Body, method: Body, decline: Decline) -> NoReturn:
    error = last_error(decline, payment_method=dict(method))
    work.change(
        intent, status="requires_payment_method", payment_method=None, last_setup_error=error
    )
    work.emit("setup_intent.setup_failed", intent)
    raise declined(intent, error)
