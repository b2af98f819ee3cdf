"""An invoice from its draft to its end: numbers, totals, due dates."""

from collections.abc import Iterable
from typing import Any

from stripe_sandbox.contract.errors import CardDeclined, StripeError, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments
from stripe_sandbox.flows.customer_balance import balance_in, bill_in, settle_balance
from stripe_sandbox.flows.discounts import inherited, use_up
from stripe_sandbox.flows.invoice_lines import SHOWN, item_line, item_of, lines_of
from stripe_sandbox.flows.invoice_payments import COLLECT, OVERDUE, refuse_unless_open
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.reckoning import reckon_invoice

FINALIZE = "invoice.finalize"
_HOUR, _DAY = 3600, 24 * 3600
_UNLESS_SAID = 30  # days until a sent invoice is due
_EDITABLE_LATER = frozenset({"auto_advance", "default_payment_method", "metadata"})


def draft(
    work: Work,
    customer: Body,
    *,
    currency: str,
    billing_reason: str,
    lines: Iterable[Body] = (),
    subscription: Body | None = None,
    **fields: Any,
) -> Body:
    """A new draft; a subscription's takes the customer's pending items with it.

    `days_until_due` sets the due date. With `auto_advance` (as a subscription's has, unless it is
    said) the invoice is finalised and collected an hour later.
    """
    bill_in(work, customer, currency)
    days = fields.pop("days_until_due", None)
    if days is not None:
        fields["due_date"] = due_in(work, days)
    invoice = work.create(
        "invoice",
        **{**_defaults(work, customer, subscription), **fields},
        billing_reason=billing_reason,
        currency=currency,
        status="draft",
    )
    if subscription:
        lines = (*pending_lines(work, customer, currency, subscription["id"]), *lines)
    for line in lines:
        add_line(work, invoice, line)
    retotal(work, invoice)
    plan(work, invoice)
    work.emit("invoice.created", invoice)
    use_up(work, invoice)
    return invoice


def follow_customer(work: Work, customer: Body) -> None:
    """A draft says of its customer what is true now, until it is being finalised."""
    for invoice in list(work.every("invoice", customer=customer["id"], status="draft")):
        if work.note(invoice["id"]).get("closing"):
            continue
        work.change(invoice, **_copied(customer))
        retotal(work, invoice)


def pending_lines(
    work: Work, customer: Body, currency: str, subscription: str | None = None
) -> list[Body]:
    """Lines out of the items that wait for an invoice, the newest first."""
    waiting = work.every("invoiceitem", customer=customer["id"], invoice=None, currency=currency)
    lines = [item_line(work, item) for item in waiting]
    if subscription is None:
        return lines  # only what is billed by itself leaves the items of other subscriptions alone
    return [line for line in lines if line["subscription"] in (None, subscription)]


def add_line(work: Work, invoice: Body, line: Body) -> Body:
    """Put a line on a draft; whoever adds lines calls `retotal` after the last."""
    body = work.state.put("line_item", line["id"], {**line, "invoice": invoice["id"]})
    if item := item_of(work, body):
        work.change(item, invoice=invoice["id"])
    return body


def retotal(work: Work, invoice: Body) -> Body:
    """Sum up the lines; returns what `previous_attributes` shows of it."""
    lines = lines_of(work, invoice)
    bill = reckon_invoice(work, invoice, lines)
    customer = work.get("customer", invoice["customer"]) or {}
    balance = balance_in(customer, invoice["currency"])
    due = max(0, bill["total"] + balance)
    shown = as_list(
        [dict(line) for line in lines[:SHOWN]], url=f"/v1/invoices/{invoice['id']}/lines"
    )
    return work.change(
        invoice,
        **bill,
        amount_due=due,
        amount_remaining=due,
        lines={**shown, "has_more": len(lines) > SHOWN},
        starting_balance=balance,
    )


def plan(work: Work, invoice: Body) -> None:
    """Settle what happens by itself an hour later: a draft is finalised, an open one is charged."""
    work.unschedule(FINALIZE, invoice)
    work.unschedule(COLLECT, invoice)
    draft = invoice["status"] == "draft"
    charges = invoice["collection_method"] == "charge_automatically"
    automatic = invoice["auto_advance"] and invoice["status"] in ("draft", "open")
    at = work.now + _HOUR if automatic else None
    work.change(
        invoice,
        automatically_finalizes_at=at if draft else None,
        next_payment_attempt=at if charges else None,
    )
    if at and (draft or charges):
        work.schedule(FINALIZE if draft else COLLECT, invoice, at=at)


def finalize(work: Work, invoice: Body, *, intent: Body | None = None) -> None:
    """Give a draft its number and ask for its payment; with nothing due it is paid at once.

    `intent` has paid it already, or will: else a new payment intent is made.
    """
    if invoice["status"] != "draft":
        text = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise refused(text, code="invoice_not_editable")
    work.unschedule(FINALIZE, invoice)
    retotal(work, invoice)
    customer = work.find("customer", invoice["customer"])
    work.remember(invoice["id"], closing=True)
    settled = settle_balance(work, invoice, customer)
    sent = invoice["collection_method"] == "send_invoice"
    due_date = invoice["due_date"] or (due_in(work, _UNLESS_SAID) if sent else None)
    url = f"{work.config.base_url}/i/{invoice['id']}"
    new = {
        **settled,
        "automatically_finalizes_at": None,
        "due_date": due_date,
        "effective_at": work.now,
        "hosted_invoice_url": url,
        "invoice_pdf": f"{url}/pdf",
        "next_payment_attempt": None,
        "number": _next_number(work, customer),
        "status": "open",
        "status_transitions": {**invoice["status_transitions"], "finalized_at": work.now},
    }
    previous = work.change(invoice, **new)
    if invoice["amount_due"]:
        invoice_payments.request(work, invoice, intent)
    work.emit("invoice.updated", invoice, previous=previous)
    work.emit("invoice.finalized", invoice)
    if not invoice["amount_due"]:
        invoice_payments.settle(work, invoice)
    elif intent and intent["status"] == "succeeded":
        invoice_payments.follow_success(work, intent)
    elif invoice["due_date"]:
        work.schedule(OVERDUE, invoice, at=invoice["due_date"])


def pay(work: Work, invoice: Body, *, method: Body | None = None, off_session: bool = True) -> None:
    """Try to collect an invoice, a draft after finalising it.

    Raises:
        CardDeclined: the attempt failed, or waits for the customer's authentication.
    """
    if _is_due(work, invoice):
        invoice_payments.attempt(work, invoice, method=method, off_session=off_session)


def settle_elsewhere(work: Work, invoice: Body) -> None:
    """The customer has paid outside of Stripe."""
    if _is_due(work, invoice):
        off_stripe = invoice["amount_remaining"]
        invoice_payments.settle(work, invoice, amount_paid_off_stripe=off_stripe)
        invoice_payments.give_up(work, invoice, reason="automatic")


def collect(work: Work, invoice: Body) -> None:
    """Do what automatic collection does when its time has come: charge, or send."""
    if invoice["collection_method"] == "send_invoice":
        send(work, invoice)
        return
    work.remember(invoice["id"], retrying=True)
    try:
        pay(work, invoice)
    except CardDeclined:
        pass  # told already, and when it is tried again
    except StripeError:  # there is no method to charge
        invoice_payments.fail(work, invoice)
    work.remember(invoice["id"], retrying=False)


def due_in(work: Work, days: int) -> int:
    return work.now + days * _DAY


def send(work: Work, invoice: Body) -> None:
    """Send it to the customer, which here is an event only."""
    if invoice["collection_method"] != "send_invoice":
        text = "You can only manually send an invoice if its collection method is 'send_invoice'."
        raise refused(text)
    if invoice["status"] == "draft":
        finalize(work, invoice)
    work.emit("invoice.sent", invoice)


def void(work: Work, invoice: Body) -> None:
    refuse_unless_open(invoice)
    _close(work, invoice, "void", "voided_at")
    invoice_payments.give_up(work, invoice, reason="void_invoice")
    work.emit("invoice.voided", invoice)


def mark_uncollectible(work: Work, invoice: Body) -> None:
    refuse_unless_open(invoice, but=())
    _close(work, invoice, "uncollectible", "marked_uncollectible_at")
    work.emit("invoice.marked_uncollectible", invoice)


def require_editable(invoice: Body, names: Iterable[str] = ("lines",)) -> None:
    """Of what is finalised only little can be changed."""
    if invoice["status"] != "draft" and not _EDITABLE_LATER.issuperset(names):
        text = "Finalized invoices can't be updated in this way"
        raise refused(text, code="invoice_not_editable")


def _is_due(work: Work, invoice: Body) -> bool:
    """Finalise a draft; nothing may be due then, and it is paid."""
    if invoice["status"] == "draft":
        finalize(work, invoice)
        return bool(invoice["status"] == "open")
    refuse_unless_open(invoice)
    return True


def _close(work: Work, invoice: Body, status: str, transition: str) -> None:
    invoice_payments.stop(work, invoice)
    times = {**invoice["status_transitions"], transition: work.now}
    new = {"next_payment_attempt": None, "status": status, "status_transitions": times}
    work.announce("invoice.updated", invoice, **new)


def _next_number(work: Work, customer: Body) -> str:
    sequence = customer["next_invoice_sequence"]
    work.change(customer, next_invoice_sequence=sequence + 1)
    return f"{customer['invoice_prefix']}-{sequence:04d}"


def _defaults(work: Work, customer: Body, subscription: Body | None) -> Body:
    """What an invoice says unless it is told otherwise, and of its customer as it is now."""
    parent = subscription and {
        "type": "subscription_details",
        "subscription_details": {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
        },
    }
    return {
        **_copied(customer),
        "account_country": "US",
        "account_name": "Offline sandbox",
        "auto_advance": subscription is not None,
        "automatic_tax": subscription["automatic_tax"] if subscription else {},
        "collection_method": "charge_automatically",
        "customer": customer["id"],
        "customer_tax_ids": [],
        "discounts": inherited(work, customer, subscription),
        "parent": parent,
        "period_end": work.now,
        "period_start": work.now,
        "test_clock": customer["test_clock"],
    }


def _copied(customer: Body) -> Body:
    names = ("address", "email", "name", "phone", "shipping", "tax_exempt")
    return {f"customer_{name}": customer[name] for name in names}
