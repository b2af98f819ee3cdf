"""Paying with a payment intent: attempts, and the authentication they may need."""

from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import intents
from stripe_sandbox.flows.cards import DECLINES, Instrument
from stripe_sandbox.flows.collecting import begin_debit, collect
from stripe_sandbox.flows.declining import fail, give_back
from stripe_sandbox.resources.charges import record_charge
from stripe_sandbox.resources.payment_methods import attach, instrument_of

CANCELABLE = (*intents.OPEN, "requires_capture")


def new_intent(work: Work, **fields: Any) -> Body:
    defaults: Body = {
        "amount_details": {"tip": {}},
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
    }
    return intents.new(work, "payment_intent", **{**defaults, **fields})


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
    intents.require_open(intent, "confirmed")
    intents.require_usable(intent, method)
    instrument = instrument_of(work, method)
    work.change(intent, payment_method=method["id"], last_payment_error=None, next_action=None)
    if not _needs_authentication(work, method, instrument, off_session=off_session):
        _take(work, intent, method, instrument)
    elif off_session and not waits:
        fail(work, intent, method, DECLINES["authentication_required"])
    else:
        intents.challenge(work, intent, return_url)


def authenticate(work: Work, intent: Body, *, succeeded: bool) -> None:
    """The customer has answered the bank's challenge.

    Raises:
        CardDeclined: the customer failed, or the card is declined all the same.
    """
    method = intents.answer(work, intent)
    if succeeded:
        _take(work, intent, method, instrument_of(work, method))
    else:
        give_back(work, intent, method, DECLINES["authentication_failed"])


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


def _keep_for_later(work: Work, intent: Body, method: Body) -> None:
    """`setup_future_usage` attaches the method; off-session use counts as set up."""
    if not intent["setup_future_usage"] or not intent["customer"]:
        return
    if intent["setup_future_usage"] == "off_session":
        work.remember(method["id"], set_up=True)
    attach(work, method, work.find("customer", intent["customer"]))
