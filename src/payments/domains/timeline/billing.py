"""What an id stands for where it is billed: subscriptions, their invoices, and who pays which."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.principal import Principal
from payments.domains.customers import users_customers
from payments.domains.invoices import Invoice, InvoicePayment
from payments.domains.subscriptions.tables import Subscription

AT_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Billing:
    """Subscriptions and invoices as this caller may see them, the newest first; `paid_by` is the
    invoice that a payment pays.
    """

    subscriptions: tuple[Row[Any], ...] = ()
    invoices: tuple[Row[Any], ...] = ()
    paid_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Row[Any], ...]:
        return (*self.subscriptions, *self.invoices)

    def invoice_of(self, payment: str) -> str | None:
        return self.paid_by.get(payment)


async def payments_of(tx: AsyncConnection, id: str) -> frozenset[str]:
    """What has paid an invoice, or a subscription's invoices."""
    billed = select(Invoice.id).where(or_(Invoice.subscription == id, Invoice.id == id))
    paying = select(InvoicePayment.payment_intent).where(InvoicePayment.invoice.in_(billed))
    return frozenset(intent for intent in (await tx.execute(paying)).scalars() if intent)


async def survey(
    tx: AsyncConnection,
    who: Principal,
    *,
    subscriptions: Collection[str],
    named: Collection[str],
    payments: Collection[str],
) -> Billing:
    """What these subscriptions and payments, and whatever else is named, were billed by."""
    links = select(InvoicePayment.payment_intent, InvoicePayment.invoice).where(
        InvoicePayment.payment_intent.in_(payments)
    )
    paid_by = {str(intent): str(invoice) for intent, invoice in await tx.execute(links)}
    invoices = await _seen(
        tx, who, Invoice,
        Invoice.subscription.in_(subscriptions) | Invoice.id.in_({*paid_by.values(), *named}),
    )  # fmt: skip
    billed = {row.subscription for row in invoices if row.subscription}
    found = await _seen(tx, who, Subscription, Subscription.id.in_(billed | set(subscriptions)))
    return Billing(found, invoices, paid_by)


async def _seen(
    tx: AsyncConnection, who: Principal, table: type[Any], found: Any
) -> tuple[Row[Any], ...]:
    query = select(*table.__table__.columns).where(found, table.customer.is_not(None))
    if not who.privileged:
        query = query.where(table.customer.in_(users_customers(who.user_id)))
    newest = query.order_by(table.created_at.desc(), table.id.desc()).limit(AT_MOST)
    return tuple((await tx.execute(newest)).all())
