"""What payment intents and setup intents have in common: their making, their bank's challenge."""

import secrets
from collections.abc import Iterable
from typing import Any

from stripe_sandbox.contract.errors import StripeError, invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.urls import require_way_back
from stripe_sandbox.engine.work import Work

TYPES = ("card", "us_bank_account", "sepa_debit")
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
LABELS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


def new(work: Work, object: str, **fields: Any) -> Body:
    id = work.new_id(object)
    waits_for = "confirmation" if fields.get("payment_method") else "payment_method"
    defaults = {
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"},
        "client_secret": f"{id}_secret_{secrets.token_hex(12)}",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": permitted_types(TYPES, fields),
        "status": f"requires_{waits_for}",
    }
    intent = work.create(object, id=id, **{**defaults, **fields})
    work.emit(f"{object}.created", intent)
    return intent


def permitted_types(types: Iterable[str], params: Body) -> list[str]:
    """Those of the types that the `allowed_` and `excluded_` parameters leave; only a card holds
    an amount until it is captured.
    """
    allowed = params.get("allowed_payment_method_types") or types
    excluded = params.get("excluded_payment_method_types") or []
    able = ("card",) if params.get("capture_method") == "manual" else TYPES
    return [type for type in types if type in able and type in allowed and type not in excluded]


def change(work: Work, intent: Body, **changes: Any) -> None:
    """Change fields, and the types that they leave."""
    types = permitted_types(TYPES, {**intent, **changes})
    work.change(intent, **changes, payment_method_types=types)


def challenge(work: Work, intent: Body, return_url: str | None) -> None:
    """Send the customer to the bank, and from there to the address."""
    secret = intent["client_secret"]
    url = f"{work.config.base_url}/3ds/{intent['id']}?client_secret={secret}"
    sdk = {"type": "three_d_secure_redirect", "stripe_js": url}
    action: Body = {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
    if return_url:
        work.remember(intent["id"], return_url=return_url)
        to = {"return_url": return_url, "url": url}
        action = {"type": "redirect_to_url", "redirect_to_url": to}
    work.change(intent, status="requires_action", next_action=action)
    work.emit(f"{intent['object']}.requires_action", intent)


def answer(work: Work, intent: Body) -> Body:
    """The method whose challenge the customer has answered."""
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, "authenticated")
    work.change(intent, next_action=None)
    return work.find("payment_method", intent["payment_method"])


def way_back(params: Body) -> str | None:
    """Where the bank's page leads to in the end; with `use_stripe_sdk` a script shows that page."""
    require_way_back(params.get("return_url"), param="return_url")
    return None if params.get("use_stripe_sdk") else params.get("return_url")


def require_open(intent: Body, done: str) -> None:
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, done, OPEN)


def unexpected_state(intent: Body, done: str, allowed: tuple[str, ...] = ()) -> StripeError:
    label = LABELS[intent["object"]]
    text = f"This {label} could not be {done} because it has a status of {intent['status']}."
    if allowed:
        only = f"Only a {label} with one of the following statuses may be {done}"
        text = f"{text} {only}: {', '.join(allowed)}."
    return unexpected(intent, text)


def unexpected(intent: Body, text: str) -> StripeError:
    """The state of an intent does not allow what is asked for."""
    object = intent["object"]
    return refused(text, code=f"{object}_unexpected_state", **{object: dict(intent)})


def require_own(work: Work, intent: Body, verb: str) -> None:
    """A session's intent follows its session."""
    if work.note(intent["id"]).get("session"):
        raise unexpected(
            intent,
            f"You cannot {verb} this {LABELS[intent['object']]} because it was created by a"
            " Checkout Session. Expire the session instead.",
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
            f" {LABELS[intent['object']]}. Please attach a PaymentMethod of one of the following"
            f" types: {', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )
