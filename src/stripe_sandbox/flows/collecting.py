"""Money that is collected: at once, at a capture, or by a debit that takes its time."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.declining import reopen
from stripe_sandbox.resources.charges import book, record_charge
from stripe_sandbox.resources.payment_methods import instrument_of


def collect(work: Work, intent: Body, charge: Body) -> None:
    instrument = instrument_of(work, work.find("payment_method", charge["payment_method"]))
    if intent["capture_method"] == "automatic":
        book(work, charge)
    elif instrument.available_at_once:
        work.settle_next("charge.book", charge)
    else:
        work.settle_later("charge.book", charge)
    _succeed(work, intent, charge)
    _let_complain(work, charge)


def capture(work: Work, intent: Body, amount: int) -> None:
    """Collect what was authorised, or a part of it; the rest is released."""
    charge = work.find("charge", intent["latest_charge"])
    work.change(charge, captured=True, amount_captured=amount)
    book(work, charge)
    work.change(intent, status="succeeded", amount_received=amount, amount_capturable=0)
    work.emit("charge.captured", charge)
    work.emit("payment_intent.succeeded", intent)
    _let_complain(work, charge)


def release(work: Work, intent: Body, *, reason: str | None) -> None:
    """Cancel an intent; what it held is released."""
    if intent["status"] == "requires_capture":
        charge = work.find("charge", intent["latest_charge"])
        work.change(charge, refunded=True, amount_refunded=charge["amount"])
        work.emit("charge.refunded", charge)
    work.change(
        intent,
        status="canceled",
        amount_capturable=0,
        canceled_at=work.now,
        cancellation_reason=reason,
        next_action=None,
    )
    work.emit("payment_intent.canceled", intent)


def begin_debit(work: Work, intent: Body, method: Body) -> None:
    charge = record_charge(work, intent, method, status="pending")
    work.change(intent, status="processing", latest_charge=charge["id"])
    work.emit("charge.pending", charge)
    work.emit("payment_intent.processing", intent)
    work.settle_later("payment_intent.settle_debit", intent)


def settle_debit(work: Work, intent: Body) -> None:
    """A debit has come through, or has come back."""
    method = work.find("payment_method", intent["payment_method"])
    charge = work.find("charge", intent["latest_charge"])
    decline = instrument_of(work, method).decline
    if decline is None:
        work.change(charge, status="succeeded", paid=True, amount_captured=charge["amount"])
        book(work, charge)
        _succeed(work, intent, charge)
        return
    work.change(
        charge,
        status="failed",
        captured=False,
        failure_code=decline.code,
        failure_message=decline.message,
    )
    work.emit("charge.failed", charge)
    reopen(work, intent, method, decline, charge=charge["id"])


def _let_complain(work: Work, charge: Body) -> None:
    method = work.find("payment_method", charge["payment_method"])
    if instrument_of(work, method).complaints:
        work.settle_next("charge.dispute", charge)


def _succeed(work: Work, intent: Body, charge: Body) -> None:
    work.change(intent, status="succeeded", amount_received=intent["amount"])
    work.emit("charge.succeeded", charge)
    work.emit("payment_intent.succeeded", intent)
