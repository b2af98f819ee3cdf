"""Disputes: opened by a test card, answered with evidence, won or lost, and the money they move."""

from typing import Any

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body, fields, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import Complaint
from stripe_sandbox.resources.balance import post
from stripe_sandbox.resources.charges import charges
from stripe_sandbox.resources.payment_methods import instrument_of

disputes = Resource("dispute", id_prefix="du", param="dispute")

_DAY = 24 * 3600
_DAYS_TO_ANSWER = 9
_FEE = 1500
_REFUSED = {"appeal", "enhanced_evidence"}
_EVIDENCE = fields(fields(resource_class("dispute"))["evidence"]).keys() - _REFUSED


@charges.job("charge.dispute")
def open_all(work: Work, charge: Body) -> None:
    """What the card's holder complains of; several complaints share the amount."""
    method = work.find("payment_method", charge["payment_method"])
    complaints = instrument_of(work, method).complaints
    share, rest = divmod(charge["amount_captured"], len(complaints))
    for complaint in complaints:
        _open(work, charge, complaint, amount=share + rest)
        rest = 0


@disputes.acts("/v1/disputes/{dispute}", takes="evidence metadata submit")
def update(work: Work, dispute: Body, params: Body) -> None:
    new = changes(dispute, params, "metadata")
    if {"evidence", "submit"} & params.keys():
        _require_unanswered(dispute, "updated")
        evidence = params.get("evidence", {})
        require_simulated(evidence, _EVIDENCE, where="the evidence of a dispute")
        new["evidence"] = {**dispute["evidence"], **{k: v or None for k, v in evidence.items()}}
        new |= _staged(dispute, submitted=params.get("submit", True))
    work.announce("charge.dispute.updated", dispute, **new)
    if _is_under_review(dispute):
        work.settle_next("dispute.decide", dispute)


@disputes.acts("/v1/disputes/{dispute}/close")
def close(work: Work, dispute: Body) -> None:
    _require_unanswered(dispute, "closed")
    _end(work, dispute, won=False)


@disputes.job("dispute.decide")
def decide(work: Work, dispute: Body) -> None:
    """The bank decides by what the evidence says; it never does about any other text."""
    verdict = dispute["evidence"]["uncategorized_text"]
    if not _is_under_review(dispute):
        return
    if verdict == "escalate_inquiry_evidence" and _is_inquiry(dispute):
        _escalate(work, dispute)
    elif verdict in ("winning_evidence", "losing_evidence"):
        _end(work, dispute, won=verdict == "winning_evidence")


def win_late(work: Work, subject: str) -> Body:
    """The bank gives the money of a lost dispute back after all."""
    dispute = work.find("dispute", subject)
    if dispute["status"] != "lost":
        raise refused(
            f"Only a lost dispute is won late; this one has a status of `{dispute['status']}`."
        )
    _move(work, dispute, amount=dispute["amount"], fee=0)
    work.announce("charge.dispute.updated", dispute, status="won", is_charge_refundable=True)
    work.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def require_refundable(work: Work, charge: Body) -> None:
    """The bank has taken the money of a dispute back already; an inquiry took nothing."""
    of_charge = work.every("dispute", charge=charge["id"])
    if not all(dispute["is_charge_refundable"] for dispute in of_charge):
        text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise refused(text, code="charge_disputed")


def _open(work: Work, charge: Body, complaint: Complaint, *, amount: int) -> None:
    card = {
        "brand": charge["payment_method_details"]["card"]["brand"],
        "case_type": "inquiry" if complaint.inquiry else "chargeback",
        "network_reason_code": complaint.network_reason_code,
    }
    dispute = work.create(
        "dispute",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=list(complaint.enhanced_eligibility_types),
        evidence_details={"due_by": _due_by(work), "submission_method": "not_submitted"},
        is_charge_refundable=complaint.inquiry,
        network_reason_code=complaint.network_reason_code,
        payment_intent=charge["payment_intent"],
        payment_method_details={"card": card, "type": "card"},
        reason=complaint.reason,
        status="warning_needs_response" if complaint.inquiry else "needs_response",
    )
    work.change(charge, disputed=True)
    if not complaint.inquiry:
        _move(work, dispute, amount=-amount, fee=_FEE)
    work.emit("charge.dispute.created", dispute)
    if not complaint.inquiry:
        work.emit("charge.dispute.funds_withdrawn", dispute)


def _escalate(work: Work, dispute: Body) -> None:
    """An inquiry becomes a chargeback, which can be answered once more."""
    details = dispute["payment_method_details"]
    _move(work, dispute, amount=-dispute["amount"], fee=_FEE)
    work.announce(
        "charge.dispute.updated",
        dispute,
        evidence_details={**dispute["evidence_details"], "due_by": _due_by(work)},
        is_charge_refundable=False,
        payment_method_details={**details, "card": {**details["card"], "case_type": "chargeback"}},
        status="needs_response",
    )
    work.emit("charge.dispute.funds_withdrawn", dispute)


def _end(work: Work, dispute: Body, *, won: bool) -> None:
    inquiry = _is_inquiry(dispute)
    won = won and not inquiry
    if won:
        _move(work, dispute, amount=dispute["amount"], fee=0)
    status = "warning_closed" if inquiry else "won" if won else "lost"
    work.change(dispute, status=status, is_charge_refundable=won or inquiry)
    work.emit("charge.dispute.closed", dispute)
    if won:
        work.emit("charge.dispute.funds_reinstated", dispute)


def _move(work: Work, dispute: Body, *, amount: int, fee: int) -> None:
    """The fee of a dispute stays paid, also when it is won."""
    moved = post(work, type="adjustment", amount=amount, fee=fee, source=dispute)
    what = "withdrawal" if amount < 0 else "reversal"
    work.change(moved, description=f"Chargeback {what} for {dispute['charge']}")
    work.change(dispute, balance_transactions=[*dispute["balance_transactions"], dict(moved)])


def _staged(dispute: Body, *, submitted: bool) -> dict[str, Any]:
    details = {**dispute["evidence_details"], "has_evidence": True}
    if not submitted:
        return {"evidence_details": details}
    details |= {
        "submission_count": details["submission_count"] + 1,
        "submission_method": "manual",
    }
    status = "warning_under_review" if _is_inquiry(dispute) else "under_review"
    return {"evidence_details": details, "status": status}


def _is_inquiry(dispute: Body) -> bool:
    return bool(dispute["status"].startswith("warning_"))


def _is_under_review(dispute: Body) -> bool:
    return bool(dispute["status"].endswith("under_review"))


def _require_unanswered(dispute: Body, done: str) -> None:
    if not dispute["status"].endswith("needs_response"):
        raise refused(
            f"This dispute cannot be {done} because it has a status of `{dispute['status']}`."
        )


def _due_by(work: Work) -> int:
    """The end of a day, as Stripe sets it."""
    return (work.now // _DAY + _DAYS_TO_ANSWER + 1) * _DAY - 1
