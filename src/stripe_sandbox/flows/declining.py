"""Attempts that fail: the failed charge stays, and the intent wants another payment method."""

from dataclasses import asdict
from typing import Any, NoReturn

from stripe_sandbox.contract.errors import CardDeclined
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import Decline
from stripe_sandbox.resources.charges import record_charge

# Where an intent keeps its last error, and what it announces.
_FAILURES = {
    "payment_intent": ("last_payment_error", "payment_intent.payment_failed"),
    "setup_intent": ("last_setup_error", "setup_intent.setup_failed"),
}


def fail(work: Work, intent: Body, method: Body, decline: Decline) -> NoReturn:
    """Record the charge that the bank refused, and raise its `CardDeclined`."""
    charge = record_charge(work, intent, method, status="failed", decline=decline)
    work.change(intent, latest_charge=charge["id"])
    work.emit("charge.failed", charge)
    give_back(work, intent, method, decline, charge=charge["id"])


def give_back(work: Work, intent: Body, method: Body, decline: Decline, **more: Any) -> NoReturn:
    """End an attempt that failed, with or without a charge, and raise its `CardDeclined`."""
    error = reopen(work, intent, method, decline, **more)
    details = {name: value for name, value in error.items() if name not in ("type", "message")}
    raise CardDeclined(decline.message, **{intent["object"]: dict(intent)}, **details)


def reopen(work: Work, intent: Body, method: Body, decline: Decline, **more: Any) -> Body:
    """Ask for another method, since the intent may still succeed; returns its new last error."""
    facts = {name: value for name, value in asdict(decline).items() if name != "blocked" and value}
    url = f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}"
    error = {**facts, "doc_url": url, "type": "card_error", "payment_method": dict(method), **more}
    field, event = _FAILURES[intent["object"]]
    new: Body = {"status": "requires_payment_method", "payment_method": None, field: error}
    work.change(intent, **new)
    work.emit(event, intent)
    return error
