"""Invoices and their payments: mirrored; what was paid by an invoice is told by its payments."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.domains.payables import reference_of
from payments.sync.apply import timestamp
from payments.sync.resources import SCHEMA, Mirror, Resource, StripeObject

PHASES: Final = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


class Invoice(Mirror):
    """What is or was due from a customer, once; `subscription` is the one that it bills. All
    columns are null in the tombstone of a draft that was never seen.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        Index("ix_invoices_customer", "customer", text("created_at desc"), text("id desc")),
        Index("ix_invoices_created_at", "created_at"),
        {"schema": SCHEMA},
    )

    status: Mapped[str | None]
    customer: Mapped[str | None]
    subscription: Mapped[str | None] = mapped_column(index=True)
    billing_reason: Mapped[str | None]
    currency: Mapped[str | None]
    total: Mapped[int | None]
    amount_due: Mapped[int | None]
    amount_paid: Mapped[int | None]
    attempt_count: Mapped[int | None]
    next_payment_attempt: Mapped[datetime | None]
    reference: Mapped[str | None] = mapped_column(index=True)


class InvoicePayment(Mirror):
    """What links an invoice to the PaymentIntent that paid it, or a part of it."""

    __tablename__ = "invoice_payments"
    __table_args__ = (Index("ix_invoice_payments_created_at", "created_at"), {"schema": SCHEMA})

    status: Mapped[str]
    invoice: Mapped[str] = mapped_column(index=True)
    payment_intent: Mapped[str | None] = mapped_column(index=True)
    amount_paid: Mapped[int | None]
    currency: Mapped[str]


def id_of(named: Any) -> str | None:
    """The id of something that Stripe gives as an id, or whole where it was asked to."""
    found = named["id"] if isinstance(named, dict) else named
    return str(found) if found is not None else None


def billed_by(invoice: StripeObject) -> str | None:
    """The subscription that an invoice bills, said by Stripe's object or by the mirror's row."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return id_of(details.get("subscription")) or invoice.get("subscription")


def read_invoice(invoice: StripeObject) -> dict[str, Any]:
    names = (
        "status", "billing_reason", "currency", "total", "amount_due", "amount_paid",
        "attempt_count",
    )  # fmt: skip
    return {
        **{name: invoice.get(name) for name in names},
        "customer": id_of(invoice.get("customer")),
        "subscription": billed_by(invoice),
        "next_payment_attempt": timestamp(invoice.get("next_payment_attempt")),
        "reference": reference_of(invoice),
    }


def read_payment(payment: StripeObject) -> dict[str, Any]:
    return {
        **{name: payment.get(name) for name in ("status", "amount_paid", "currency")},
        "invoice": id_of(payment["invoice"]),
        "payment_intent": id_of(payment["payment"].get("payment_intent")),
    }


INVOICE = Resource(
    name="invoice",
    table=Invoice,
    read=read_invoice,
    phase=lambda invoice: PHASES.get(invoice["status"], 0),
    fetch=lambda c, id: c.v1.invoices.retrieve_async(id),
    list=lambda c, params: c.v1.invoices.list_async(params),
    open="status in ('draft', 'open', 'uncollectible')",
    events=(
        "invoice.created",
        "invoice.updated",
        "invoice.deleted",
        "invoice.finalized",
        "invoice.finalization_failed",
        "invoice.sent",
        "invoice.will_be_due",
        "invoice.overdue",
        "invoice.payment_action_required",
        "invoice.payment_attempt_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.paid",
        "invoice.overpaid",
        "invoice.marked_uncollectible",
        "invoice.voided",
    ),
    from_payload=True,
    deletable=True,
)
# Stripe announces neither the beginning nor the end of one that is not paid. So only those that
# are paid are known here, and listed.
INVOICE_PAYMENT = Resource(
    name="invoice_payment",
    table=InvoicePayment,
    read=read_payment,
    phase=lambda payment: int(payment["status"] in ("paid", "canceled")),
    fetch=lambda c, id: c.v1.invoice_payments.retrieve_async(id),
    list=lambda c, params: c.v1.invoice_payments.list_async(params),
    listings=({"status": "paid"},),
    open="status = 'open'",
    events=("invoice_payment.paid",),
    from_payload=True,
)
RESOURCES = (INVOICE, INVOICE_PAYMENT)
