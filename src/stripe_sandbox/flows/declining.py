"""Attempts that fail: the failed charge stays, and the intent wants another payment method."""

from typing import Any, NoReturn

from stripe_sandbox.contract.errors import CardDeclined
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import Decline
from stripe_sandbox.resources.charges import record_charge


def fail(work: Work, intent: Body, method: Body, decline: Decline) -> NoReturn:
    """Record the charge that the bank refused, and raise its `CardDeclined`."""
    charge = record_charge(work, intent, method, status="failed", decline=decline)
    work.change(intent, latest_charge=charge["id"])
    work.emit("charge.failed", charge)
    give_back(work, intent, method, decline, charge=charge["id"])


def give_back(work: Work, intent: Body, method: Body, decline: Decline, **more: Any) -> NoReturn:
    """End an attempt that failed, with or without a charge, and raise its `CardDeclined`."""
    raise declined(intent, reopen(work, intent, method, decline, **more))


def declined(intent: Body, error: Body) -> CardDeclined:
    """The answer to the attempt that left this error on its intent."""
    details = {name: value for name, value in error.items() if name not in ("type", "message")}
    return CardDeclined(error["message"], **{intent["object"]: dict(intent)}, **details)


def reopen(work: Work, intent: Body, method: Body, decline: Decline, **more: Any) -> Body:
    """Ask for another method, since the intent may still succeed; returns its new last error."""
    error = last_error(decline, payment_method=dict(method), **more)
    work.change(
        intent, status="requires_payment_method", payment_method=None, last_payment_error=error
    )
    work.emit("payment_intent.payment_failed", intent)
    return error


def last_error(decline: Decline, **more: Any) -> Body:
    """How an intent shows why its last attempt failed."""
    slug = decline.code.replace("_", "-")
    details = {
        "advice_code": decline.advice_code,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{slug}",
        "message": decline.message,
        "network_decline_code": decline.network_decline_code,
        "type": "card_error",
        **more,
    }
    return {name: value for name, value in details.items() if value is not None}
