"""What Radar does about a charge: warnings of fraud from its bank, reviews of risky payments."""

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.resources.payment_methods import instrument_of

warnings = Resource("radar.early_fraud_warning", id_prefix="issfr")
reviews = Resource("review", id_prefix="prv", param="review")


@warnings.follows("charge.succeeded")
def watch(work: Work, charge: Body) -> None:
    instrument = instrument_of(work, work.find("payment_method", charge["payment_method"]))
    if instrument.fraud_warning:
        work.settle_next("charge.warn", charge)
    if instrument.risk_level == "elevated":
        work.settle_next("charge.review", charge)


@warnings.job("charge.warn")
def warn(work: Work, subject: str) -> None:
    about = _about(work.find("charge", subject))
    warning = work.create("radar.early_fraud_warning", **about, actionable=True, fraud_type="misc")
    work.emit("radar.early_fraud_warning.created", warning)


@reviews.job("charge.review")
def open_review(work: Work, subject: str) -> None:
    about = _about(work.find("charge", subject))
    review = work.create("review", **about, open=True, opened_reason="rule", reason="rule")
    _show(work, review, review["id"])
    work.emit("review.opened", review)


@reviews.on("post", "/v1/reviews/{review}/approve")
def approve(work: Work, review: str) -> Body:
    body = work.find("review", review)
    if not body["open"]:
        raise refused(f"Review {review} is already closed: {body['closed_reason']}.")
    _close(work, body, "approved")
    return body


@reviews.follows("charge.refunded")
def follow_refund(work: Work, charge: Body) -> None:
    """Money that went back as a whole settles the matter."""
    if charge["refunded"]:
        _rest(work, charge["id"], "refunded" if charge["captured"] else "canceled")


@reviews.follows("charge.dispute.created")
def follow_dispute(work: Work, dispute: Body) -> None:
    _rest(work, dispute["charge"], "disputed")


def _about(charge: Body) -> Body:
    return {"charge": charge["id"], "payment_intent": charge["payment_intent"]}


def _rest(work: Work, charge: str, reason: str) -> None:
    for warning in list(work.every("radar.early_fraud_warning", charge=charge)):
        work.announce("radar.early_fraud_warning.updated", warning, actionable=False)
    for review in list(work.every("review", charge=charge, open=True)):
        _close(work, review, reason)


def _close(work: Work, review: Body, reason: str) -> None:
    work.change(review, open=False, closed_reason=reason, reason=reason)
    _show(work, review, None)
    work.emit("review.closed", review)


def _show(work: Work, review: Body, shown: str | None) -> None:
    """The payment names its review as long as that is open."""
    for kind in ("charge", "payment_intent"):
        work.change(work.find(kind, review[kind]), review=shown)
