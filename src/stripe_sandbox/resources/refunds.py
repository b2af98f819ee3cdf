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

_COUNTING = ("pending", "requires_action", "succeeded")


@refunds.on(
    "post",
    "/v1/refunds",
    takes="amount charge instructions_email metadata payment_intent reason",
)
def create(work: Work, params: Body) -> Body:
    charge = _charge(work, params)
    left = charge["amount_captured"] - _total(work, charge, *_COUNTING)
    if left == 0:
        text = f"Charge {charge['id']} has already been refunded."
        raise refused(text, code="charge_already_refunded")
    require_refundable(work, charge)
    amount = params.get("amount", left)
    require_representable(amount, charge["currency"])
    if amount > left:
        raise _too_much(amount, left, charge["currency"])
    return _refund(work, charge, amount, params)


@refunds.acts("/v1/refunds/{refund}", takes="metadata")
def update(work: Work, refund: Body, params: Body) -> None:
    previous = work.change(refund, **changes(refund, params, "metadata"))
    if previous:
        work.emit("refund.updated", refund, previous=previous)
        work.emit("charge.refund.updated", refund, previous=previous)


@refunds.acts("/v1/refunds/{refund}/cancel")
def cancel(work: Work, refund: Body) -> None:
    if refund["status"] != "requires_action":
        raise refused(
            f"You cannot cancel this refund because it has a status of `{refund['status']}`. Only a"
            " refund with the status `requires_action` may be canceled."
        )
    work.announce("refund.updated", refund, status="canceled", next_action=None)


@refunds.job("refund.arrive")
def arrive(work: Work, refund: Body) -> None:
    work.announce("refund.updated", refund, status="succeeded", pending_reason=None)
    _tell_charge(work, work.find("charge", refund["charge"]))


@refunds.job("refund.come_back")
def come_back(work: Work, refund: Body) -> None:
    """The card's bank returns the money days later: the refund had succeeded and now has failed."""
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
    total = _total(work, charge, "succeeded")
    work.change(charge, amount_refunded=total, refunded=total == charge["amount_captured"])


def _charge(work: Work, params: Body) -> Body:
    if ("charge" in params) is ("payment_intent" in params):
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or"
            " charge."
        )
    if "charge" in params:
        payer = work.named("charge", params)
        charge: Body | None = payer
        problem = f"Charge {payer['id']} was not successful and captured, so it cannot be refunded."
    else:
        payer = work.named("payment_intent", params)
        charge = work.get("charge", payer["latest_charge"])
        problem = f"This PaymentIntent ({payer['id']}) does not have a successful charge to refund."
    if charge is None or charge["status"] != "succeeded" or not charge["captured"]:
        raise refused(problem, param=payer["object"])
    return charge


def _too_much(amount: int, left: int, currency: str) -> StripeError:
    return refused(
        f"Refund amount ({display(amount, currency)}) is greater than unrefunded amount on charge"
        f" ({display(left, currency)})",
        param="amount",
    )


def _total(work: Work, charge: Body, *statuses: str) -> int:
    """What its refunds in these states come to."""
    refunds = work.every("refund", charge=charge["id"])
    return sum(refund["amount"] for refund in refunds if refund["status"] in statuses)


def _destination() -> Body:
    reference = str(secrets.randbelow(9 * 10**22) + 10**22)
    card = {
        "reference": reference,
        "reference_status": "available",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {"type": "card", "card": card}
