"""Previews of invoices: drafts that are made, looked at and taken back."""

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.money import known_currency
from stripe_sandbox.flows.previewing import as_preview, next_invoice
from stripe_sandbox.flows.reckoning import terms
from stripe_sandbox.resources.invoices import invoices


@invoices.on(
    "post",
    "/v1/invoices/create_preview",
    takes="automatic_tax currency customer discounts subscription subscription_details",
)
def create_preview(work: Work, params: Body) -> Body:
    subscription = None
    if "subscription" in params:
        subscription = work.find("subscription", params["subscription"], param="subscription")
    customer = work.named("customer", subscription or params)
    with work.state.rehearsal():
        invoice = _draft(work, customer, subscription, params)
        if new := terms(work, params, invoice, currency=invoice["currency"]):
            work.change(invoice, **new)
            invoicing.retotal(work, invoice)
        return as_preview(invoice)


def _draft(work: Work, customer: Body, subscription: Body | None, params: Body) -> Body:
    if subscription or "subscription_details" in params:
        details = params.get("subscription_details", {})
        invoice = next_invoice(work, customer, subscription, details)
        if subscription and details.get("items"):
            parent = invoice["parent"]
            shown = {
                **parent["subscription_details"],
                "subscription_proration_date": details.get("proration_date", work.now),
            }
            work.change(invoice, parent={**parent, "subscription_details": shown})
        return invoice
    currency = known_currency(params.get("currency") or customer["currency"] or "usd")
    lines = invoicing.pending_lines(work, customer, currency)
    if not lines:
        raise invalid("Nothing to invoice for customer", code="invoice_upcoming_none")
    return invoicing.draft(
        work, customer, currency=currency, billing_reason="upcoming", lines=lines
    )
