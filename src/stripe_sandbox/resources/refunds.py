"""Refunds: at once, pending first, or failing after they had succeeded."""

import secrets

from stripe_sandbox.contract.errors import StripeError, invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import display, require_representable
from stripe_sandbox.resources.balance import post
from stripe_sandbox.resources.disputes import require_refundable
from stripe_sandbox.resources.payment_methods import instrument_of

refunds = Resource("refund", id_prefix="re")

_GONE = ("failed", "canceled")


@refunds.on(
    "post",
    "/v1/refunds",
    takes="amount charge instructions_email metadata payment_intent reason",
)
def create(work: Work, params: Body) -> Body:
    charge = _charge(work, params)
    left = charge["amount_captured"] - sum(
        r["amount"] for r in _refunds_of(work, charge) if r["status"] not in _GONE
    )
    if left == 0:
        text = f"Charge {charge['id']} has already been refunded."
        raise refused(text, code="charge_already_refunded")
    require_refundable(work, charge)
    amount = params.get("amount", left)
    require_representable(amount, charge["currency"])
    if amount > left:
        raise _too_much(amount, left, charge["currency"])
    return _refund(work, charge, amount, params)


@refunds.on("post", "/v1/refunds/{refund}", takes="metadata")
def update(work: Work, params: Body, refund: str) -> Body:
    body = work.find("refund", refund)
    previous = work.change(body, **changes(body, params, "metadata"))
    if previous:
        work.emit("refund.updated", body, previous=previous)
        work.emit("charge.refund.updated", body, previous=previous)
    return body


@refunds.on("post", "/v1/refunds/{refund}/cancel")
def cancel(work: Work, refund: str) -> Body:
    body = work.find("refund", refund)
    if body["status"] != "requires_action":
        raise refused(
            f"You cannot cancel this refund because it has a status of `{body['status']}`. Only a"
            " refund with the status `requires_action` may be canceled."
        )
    work.announce("refund.updated", body, status="canceled", next_action=None)
    return body


@refunds.job("refund.arrive")
def arrive(work: Work, subject: str) -> None:
    refund = work.find("refund", subject)
    work.announce("refund.updated", refund, status="succeeded", pending_reason=None)
    _tell_charge(work, work.find("charge", refund["charge"]))


@refunds.job("refund.come_back")
def come_back(work: Work, subject: str) -> None:
    """The card's bank returns the money days later: the refund had succeeded and now has failed."""
    refund = work.find("refund", subject)
    returned = post(work, type="refund_failure", amount=refund["amount"], source=refund)
    work.change(
        refund,
        status="failed",
        failure_reason="expired_or_canceled_card",
        failure_balance_transaction=returned["id"],
    )
    _tell_charge(work, work.find("charge", refund["charge"]))
    work.emit("refund.failed", refund)


def _refund(work: Work, charge: Body, amount: int, params: Body) -> Body:
    method = work.find("payment_method", charge["payment_method"])
    instrument = instrument_of(work, method)
    pending = instrument.refunds == "pending"
    card = instrument.type == "card"
    refund = work.create(
        "refund",
        id=None if card else work.new_id("refund").replace("re_", "pyr_"),
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details=_destination() if card else {"type": "us_bank_transfer"},
        payment_intent=charge["payment_intent"],
        payment_method=method["id"],
        pending_reason="processing" if pending else None,
        status="pending" if pending else "succeeded",
        **given(params, "instructions_email metadata reason"),
    )
    booked = post(work, type="refund" if card else "payment_refund", amount=-amount, source=refund)
    work.change(refund, balance_transaction=booked["id"])
    work.emit("refund.created", refund)
    if pending:
        work.settle_later("refund.arrive", refund)
        return refund
    _tell_charge(work, charge)
    work.emit("charge.refunded", charge)
    if instrument.refunds == "fails":
        work.settle_later("refund.come_back", refund)
    return refund


def _tell_charge(work: Work, charge: Body) -> None:
    """Only what has arrived counts, so the amount can go down again."""
    arrived = [r for r in _refunds_of(work, charge) if r["status"] == "succeeded"]
    total = sum(refund["amount"] for refund in arrived)
    work.change(charge, amount_refunded=total, refunded=total == charge["amount_captured"])


def _charge(work: Work, params: Body) -> Body:
    if ("charge" in params) is ("payment_intent" in params):
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or"
            " charge."
        )
    if "charge" in params:
        charge: Body | None = work.find("charge", params["charge"], param="charge")
    else:
        intent = work.find("payment_intent", params["payment_intent"], param="payment_intent")
        charge = work.get("charge", intent["latest_charge"])
    if charge is None or charge["status"] != "succeeded" or not charge["captured"]:
        payer = params.get("payment_intent") or params["charge"]
        raise refused(
            f"This PaymentIntent ({payer}) does not have a successful charge to refund."
            if "payment_intent" in params
            else f"Charge {payer} was not successful and captured, so it cannot be refunded.",
            param="payment_intent" if "payment_intent" in params else "charge",
        )
    return charge


def _too_much(amount: int, left: int, currency: str) -> StripeError:
    return refused(
        f"Refund amount ({display(amount, currency)}) is greater than unrefunded amount on charge"
        f" ({display(left, currency)})",
        param="amount",
    )


def _refunds_of(work: Work, charge: Body) -> list[Body]:
    return list(work.every("refund", charge=charge["id"]))


def _destination() -> Body:
    reference = str(secrets.randbelow(9 * 10**22) + 10**22)
    card = {
        "reference": reference,
        "reference_status": "available",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"type": "card", "card": card}
