"""Invoice payments: which payment pays how much of which invoice."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource


def _is_by(payment: Body, wanted: object) -> bool:
    return isinstance(wanted, dict) and all(
        payment["payment"][name] == value for name, value in wanted.items()
    )


invoice_payments = Resource(
    "invoice_payment", id_prefix="inpay", param="invoice_payment", filters={"payment": _is_by}
)
