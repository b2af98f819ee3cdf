"""The next invoice of a subscription, before there is one; to be called within a rehearsal."""

from stripe_sandbox.contract.errors import StripeError, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.changing import update
from stripe_sandbox.flows.ending import cancel
from stripe_sandbox.flows.renewing import next_end, renew
from stripe_sandbox.flows.subscribing import subscribe
from stripe_sandbox.flows.subscription_terms import LEAVE_DRAFT

_DETAILS = (
    "billing_cycle_anchor cancel_at cancel_at_period_end cancel_now items metadata"
    " proration_behavior proration_date trial_end"
)


def next_invoice(work: Work, customer: Body, subscription: Body | None, details: Body) -> Body:
    """The draft that the details of a preview lead to: of a new subscription, of a change that is
    billed at once, or else of the next renewal.
    """
    require_simulated(details, _DETAILS, where="subscription_details")
    terms = {k: v for k, v in details.items() if k != "cancel_now"}
    terms["payment_behavior"] = LEAVE_DRAFT
    anchor = terms.get("billing_cycle_anchor", {}).get("type", "unchanged")
    if anchor not in ("now", "unchanged"):
        raise not_simulated(f"a preview with a billing_cycle_anchor of the type {anchor}")
    if subscription is None:
        terms.pop("billing_cycle_anchor", None)
        subscription, before = subscribe(work, customer, terms), None
    else:
        before = subscription["latest_invoice"]
        if details.get("cancel_now"):
            prorate = details.get("proration_behavior") != "none"
            cancel(work, subscription, prorate=prorate, invoice_now=True, behavior=LEAVE_DRAFT)
        elif details:
            update(work, subscription, terms)
    if subscription["latest_invoice"] != before:
        return work.find("invoice", subscription["latest_invoice"])
    if invoice := _renewal(work, subscription):
        return invoice
    raise StripeError(
        404,
        "invalid_request_error",
        f"No upcoming invoices for customer: {subscription['customer']}",
        code="invoice_upcoming_none",
    )


def announce_upcoming(work: Work, subscription: Body) -> None:
    now = work.now
    with work.state.rehearsal():
        invoice = _renewal(work, subscription)
        upcoming = invoice and as_preview(invoice)
    work.now = now
    if upcoming:
        work.emit("invoice.upcoming", upcoming)


def as_preview(invoice: Body) -> Body:
    """An invoice that does not exist has an id of its own kind."""
    id = invoice["id"].replace("in_", "upcoming_in_")
    shown = invoice["lines"]
    lines = [{**line, "invoice": id} for line in shown["data"]]
    url = f"/v1/invoices/{id}/lines"
    return {
        **invoice,
        "id": id,
        "billing_reason": "upcoming",
        "lines": {**shown, "data": lines, "url": url},
    }


def _renewal(work: Work, subscription: Body) -> Body | None:
    at, last = next_end(work, subscription), subscription["cancel_at"]
    renews = subscription["status"] in ("active", "past_due", "trialing")
    if not renews or (last and last <= at):
        return None
    work.now = at
    return renew(work, subscription)
