"""Invoices and their payments: mirrored; what was paid by an invoice is told by its payments."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from payments.domains.payables import reference_of
from payments.stripe_api.service import Client
from payments.sync.apply import timestamp
from payments.sync.resources import SCHEMA, Mirror, Resource, StripeObject

PHASES: Final = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


class Invoice(Mirror):
    """What is or was due from a customer, once; `subscription` is the one that it bills. `lines` is
    what was billed, once it is paid; amounts in it are before discounts. All columns are null in
    the tombstone of a draft that was never seen.
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
    reference: Mapped[str | None] = mapped_column(index=True)
    paid_at: Mapped[datetime | None]
    lines: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)


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


def read_invoice(invoice: StripeObject) -> dict[str, Any]:
    names = ("status", "billing_reason", "currency", "total", "amount_due", "amount_paid")
    billed = (invoice.get("parent") or {}).get("subscription_details") or {}
    return {
        **{name: invoice.get(name) for name in names},
        "customer": id_of(invoice.get("customer")),
        "subscription": id_of(billed.get("subscription")),
        "reference": reference_of(invoice),
        "paid_at": timestamp((invoice.get("status_transitions") or {}).get("paid_at")),
        "lines": _lines(invoice["lines"]["data"]) if invoice.get("status") == "paid" else None,
    }


def _lines(lines: Sequence[StripeObject]) -> list[dict[str, Any]]:
    """In an order of our own: Stripe's lists and events need not agree on one."""
    return sorted(map(_line, lines), key=lambda line: str(line["id"]))


def _line(line: StripeObject) -> dict[str, Any]:
    parent, pricing = line.get("parent") or {}, line.get("pricing") or {}
    of = parent.get(parent.get("type") or "") or {}
    priced = pricing.get("price_details") or {}
    return {
        **{name: line.get(name) for name in ("id", "amount", "currency", "quantity")},
        "item": of.get("subscription_item"),
        "proration": bool(of.get("proration")),
        "price": id_of(priced.get("price")),
        "product": id_of(priced.get("product")),
        "unit_amount": _whole_cents(pricing.get("unit_amount_decimal")),
        "period_start": line["period"]["start"],
        "period_end": line["period"]["end"],
    }


def _whole_cents(exact: str | None) -> int | None:
    """A price may be a fraction of a minor unit; such a one is not kept."""
    amount = Decimal(exact) if exact is not None else None
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def is_whole(invoice: StripeObject) -> bool:
    """An event carries ten lines at most. They are read once the invoice is paid."""
    lines = invoice.get("lines")
    all_there = isinstance(lines, dict) and lines.get("has_more") is False
    return all_there or invoice.get("status") != "paid"


async def fetch(client: Client, id: str) -> Any:
    return await _completed(client, await client.v1.invoices.retrieve_async(id))


async def list_page(client: Client, /, params: Any) -> Any:
    page = await client.v1.invoices.list_async(params)
    for invoice in page.data:
        await _completed(client, invoice)
    return page


async def _completed(client: Client, invoice: Any) -> Any:
    """The invoice with all its lines; whoever asks gets the same, fetched or listed."""
    if invoice.status == "paid" and invoice.lines.has_more:
        first = await client.v1.invoices.line_items.list_async(invoice.id, {"limit": 100})
        invoice.lines.data = [line async for line in first.auto_paging_iter()]
        invoice.lines.has_more = False
    return invoice


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
    fetch=fetch,
    list=list_page,
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
    whole=is_whole,
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
