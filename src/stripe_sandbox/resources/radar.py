"""What Radar says about a charge: its bank warns of fraud."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.resources.charges import charges
from stripe_sandbox.resources.payment_methods import instrument_of

warnings = Resource("radar.early_fraud_warning", id_prefix="issfr")


@warnings.follows("charge.succeeded")
def watch(work: Work, charge: Body) -> None:
    method = work.find("payment_method", charge["payment_method"])
    if instrument_of(work, method).fraud_warning:
        work.settle_next("charge.warn", charge)


@charges.job("charge.warn")
def warn(work: Work, charge: Body) -> None:
    about = {"charge": charge["id"], "payment_intent": charge["payment_intent"]}
    warning = work.create("radar.early_fraud_warning", **about, actionable=True, fraud_type="misc")
    work.emit("radar.early_fraud_warning.created", warning)


@warnings.follows("charge.refunded")
def follow_refund(work: Work, charge: Body) -> None:
    """Money that went back as a whole settles the matter."""
    if charge["refunded"]:
        _rest(work, charge["id"])


@warnings.follows("charge.dispute.created")
def follow_dispute(work: Work, dispute: Body) -> None:
    _rest(work, dispute["charge"])


def _rest(work: Work, charge: str) -> None:
    for warning in list(work.every("radar.early_fraud_warning", charge=charge)):
        work.announce("radar.early_fraud_warning.updated", warning, actionable=False)
