"""Previews of invoices: drafts that are made, looked at and taken back."""

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.money import known_currency
from stripe_sandbox.resources import invoiceitems
from stripe_sandbox.resources.invoices import invoices

_ITEM = (
    "amount currency description discountable metadata period price price_data quantity"
    " unit_amount_decimal"
)


@invoices.on(
    "post", "/v1/invoices/create_preview", takes="currency customer invoice_items preview_mode"
)
def create_preview(work: Work, params: Body) -> Body:
    if "customer" not in params:
        text = "Missing required param: customer."
        raise invalid(text, code="parameter_missing", param="customer")
    customer = work.find("customer", params["customer"], param="customer")
    with work.state.rehearsal():
        return _previewed(_draft(work, customer, params))


def _draft(work: Work, customer: Body, params: Body) -> Body:
    currency = known_currency(params.get("currency") or customer["currency"] or "usd")
    for i, wanted in enumerate(params.get("invoice_items") or []):
        _pend(work, customer, {"currency": currency, **wanted}, f"invoice_items[{i}]")
    lines = invoicing.pending_lines(work, customer, currency)
    if not lines:
        raise invalid("Nothing to invoice for customer", code="invoice_upcoming_none")
    return invoicing.draft(
        work, customer, currency=currency, billing_reason="upcoming", lines=lines
    )


def _pend(work: Work, customer: Body, wanted: Body, at: str) -> None:
    require_simulated(wanted, frozenset(_ITEM.split()), where=at)
    item = {**wanted, "customer": customer["id"]}
    if price := item.pop("price", None):
        item["pricing"] = {"price": price}
    invoiceitems.create(work, item)


def _previewed(invoice: Body) -> Body:
    """An invoice that does not exist has an id of its own kind."""
    id = invoice["id"].replace("in_", "upcoming_in_")
    shown = invoice["lines"]
    lines = [{**line, "invoice": id} for line in shown["data"]]
    url = f"/v1/invoices/{id}/lines"
    return {**invoice, "id": id, "lines": {**shown, "data": lines, "url": url}}
