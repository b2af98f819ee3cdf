"""Paying with a payment intent: attempts, and the authentication they may need."""

import secrets
from collections.abc import Iterable
from typing import Any

from stripe_sandbox.contract.errors import StripeError, invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.urls import require_way_back
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import (
    AUTHENTICATION_FAILED,
    AUTHENTICATION_REQUIRED,
    Instrument,
)
from stripe_sandbox.flows.collecting import begin_debit, collect
from stripe_sandbox.flows.declining import fail, give_back
from stripe_sandbox.resources.charges import record_charge
from stripe_sandbox.resources.payment_methods import attach, instrument_of

TYPES = ("card", "us_bank_account", "sepa_debit")
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*OPEN, "requires_capture")
_LABELS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def new_intent(work: Work, **fields: Any) -> Body:
    id = work.new_id("payment_intent")
    intent = work.create(
        "payment_intent",
        id=id,
        **{
            "amount_details": {"tip": {}},
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"},
            "capture_method": "automatic_async",
            "client_secret": f"{id}_secret_{secrets.token_hex(12)}",
            "confirmation_method": "automatic",
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": permitted_types(TYPES, fields),
            "status": "requires_payment_method",
            **fields,
        },
    )
    work.emit("payment_intent.created", intent)
    return intent


def permitted_types(types: Iterable[str], params: Body) -> list[str]:
    """Those of the types that the `allowed_` and `excluded_` parameters leave; only a card holds
    an amount until it is captured.
    """
    allowed = params.get("allowed_payment_method_types") or types
    excluded = params.get("excluded_payment_method_types") or []
    able = ("card",) if params.get("capture_method") == "manual" else TYPES
    return [type for type in types if type in able and type in allowed and type not in excluded]


def attempt(
    work: Work,
    intent: Body,
    method: Body,
    *,
    off_session: bool = False,
    return_url: str | None = None,
    waits: bool = False,
) -> None:
    """Confirm an intent: afterwards it is succeeded, processing, waiting for capture or for the
    customer.

    Off session nobody can authenticate, so that fails, unless it `waits` until the customer can.

    Raises:
        CardDeclined: it is not; the failed charge stays, and the intent wants another method.
    """
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, "confirmed", OPEN)
    require_usable(intent, method)
    instrument = instrument_of(work, method)
    work.change(intent, payment_method=method["id"], last_payment_error=None, next_action=None)
    if not _needs_authentication(work, method, instrument, off_session=off_session):
        _take(work, intent, method, instrument)
    elif off_session and not waits:
        fail(work, intent, method, AUTHENTICATION_REQUIRED)
    else:
        action = next_action(work, intent, return_url)
        work.change(intent, status="requires_action", next_action=action)
        work.emit("payment_intent.requires_action", intent)


def way_back(params: Body) -> str | None:
    """Where the bank's page leads to in the end; with `use_stripe_sdk` a script shows that page."""
    require_way_back(params.get("return_url"), param="return_url")
    return None if params.get("use_stripe_sdk") else params.get("return_url")


def authenticate(work: Work, intent: Body, *, succeeded: bool) -> None:
    """The customer has answered the bank's challenge.

    Raises:
        CardDeclined: the customer failed, or the card is declined all the same.
    """
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, "authenticated")
    method = work.find("payment_method", intent["payment_method"])
    work.change(intent, next_action=None)
    if succeeded:
        _take(work, intent, method, instrument_of(work, method))
    else:
        give_back(work, intent, method, AUTHENTICATION_FAILED)


def unexpected_state(intent: Body, done: str, allowed: tuple[str, ...] = ()) -> StripeError:
    object = intent["object"]
    label = _LABELS[object]
    only = (
        f" Only a {label} with one of the following statuses may be {done}: {', '.join(allowed)}."
    )
    return refused(
        f"This {label} could not be {done} because it has a status of {intent['status']}."
        + (only if allowed else ""),
        code=f"{object}_unexpected_state",
        **{object: dict(intent)},
    )


def require_usable(intent: Body, method: Body) -> None:
    """Refuse another customer's method, and one of a type that the intent does not take."""
    if method["customer"] and method["customer"] != intent["customer"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. The payment"
            " method must be attached to the customer.",
            param="payment_method",
        )
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this"
            f" {_LABELS[intent['object']]}. Please attach a PaymentMethod of one of the following"
            f" types: {', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )


def _take(work: Work, intent: Body, method: Body, instrument: Instrument) -> None:
    if instrument.delayed:
        begin_debit(work, intent, method)
        _keep_for_later(work, intent, method)
        return
    if instrument.decline:
        fail(work, intent, method, instrument.decline)
    charge = record_charge(work, intent, method, status="succeeded")
    work.change(intent, latest_charge=charge["id"])
    if intent["capture_method"] == "manual":
        work.change(intent, status="requires_capture", amount_capturable=intent["amount"])
        work.emit("charge.succeeded", charge)
        work.emit("payment_intent.amount_capturable_updated", intent)
    else:
        collect(work, intent, charge)
    _keep_for_later(work, intent, method)


def _needs_authentication(
    work: Work, method: Body, instrument: Instrument, *, off_session: bool
) -> bool:
    match instrument.authentication:
        case "never":
            return False
        case "always":
            return True
        case "unless_set_up":
            return not (off_session and work.note(method["id"]).get("set_up"))
        case "on_session":
            return not off_session


def next_action(work: Work, intent: Body, return_url: str | None) -> Body:
    """The way to the bank's challenge."""
    secret = intent["client_secret"]
    url = f"{work.config.base_url}/3ds/{intent['id']}?client_secret={secret}"
    if return_url:
        work.remember(intent["id"], return_url=return_url)
        to = {"return_url": return_url, "url": url}
        return {"type": "redirect_to_url", "redirect_to_url": to}
    sdk = {"type": "three_d_secure_redirect", "stripe_js": url}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}


def _keep_for_later(work: Work, intent: Body, method: Body) -> None:
    """`setup_future_usage` attaches the method; off-session use counts as set up."""
    if not intent["setup_future_usage"] or not intent["customer"]:
        return
    if intent["setup_future_usage"] == "off_session":
        work.remember(method["id"], set_up=True)
    attach(work, method, work.find("customer", intent["customer"]))
