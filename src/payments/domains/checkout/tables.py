"""Checkout sessions, mirrored; and open payables, our reservations of what may be paid now."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.domains.payables import reference_of
from payments.sync.apply import timestamp
from payments.sync.resources import SCHEMA, Mirror, Observed, Resource, StripeObject

PHASES: Final = {
    ("open", "unpaid"): 0,
    ("open", "no_payment_required"): 0,
    ("expired", "unpaid"): 1,
    ("expired", "no_payment_required"): 1,
    ("complete", "unpaid"): 2,
    ("complete", "no_payment_required"): 3,
    ("complete", "paid"): 3,
}


class CheckoutSession(Mirror):
    """Where a customer pays; its url is asked for when it is needed."""

    __tablename__ = "checkout_sessions"
    __table_args__ = (Index("ix_checkout_sessions_created_at", "created_at"), {"schema": SCHEMA})

    status: Mapped[str | None]
    payment_status: Mapped[str]
    mode: Mapped[str]
    amount_total: Mapped[int | None]
    currency: Mapped[str | None]
    customer: Mapped[str | None]
    payment_intent: Mapped[str | None] = mapped_column(index=True)
    reference: Mapped[str | None] = mapped_column(index=True)
    payment_type: Mapped[str | None]
    expires_at: Mapped[datetime]


class OpenPayable(Base):
    """A reservation: for this reference, this may be paid now. Purposes that pay the same money
    share a slot, so a deposit page and a full-payment page are never open side by side.
    """

    __tablename__ = "open_payables"
    __table_args__ = (
        # The race of two browsers ends here: the second INSERT fails.
        Index(
            "uq_open_payables_slot",
            "reference",
            "slot",
            unique=True,
            postgresql_where=text("closed_at is null"),
        ),
        CheckConstraint("form in ('checkout_session', 'payment_intent')", name="form"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(index=True)
    slot: Mapped[str]
    form: Mapped[str]
    purpose: Mapped[str]
    fingerprint: Mapped[str]
    params: Mapped[dict[str, Any]]
    stripe_id: Mapped[str | None] = mapped_column(index=True)
    reserved_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


def slot(purpose: str) -> str:
    return "addon" if purpose == "addon" else "due"


def read(session: StripeObject) -> dict[str, Any]:
    names = (
        "status",
        "payment_status",
        "mode",
        "amount_total",
        "currency",
        "customer",
        "payment_intent",
    )
    return {
        **{name: session.get(name) for name in names},
        "reference": reference_of(session),
        "payment_type": (session.get("metadata") or {}).get("payment_type"),
        "expires_at": timestamp(session["expires_at"]),
    }


CHECKOUT_SESSION = Resource(
    name="checkout.session",
    table=CheckoutSession,
    read=read,
    phase=lambda session: PHASES.get((session["status"], session["payment_status"]), 0),
    fetch=lambda c, id: c.v1.checkout.sessions.retrieve_async(id),
    list=lambda c, params: c.v1.checkout.sessions.list_async(params),
    open="status = 'open' or (status = 'complete' and payment_status = 'unpaid')",
    events=(
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    ),
    from_payload=True,
    unannounced=("payment_intent",),  # of an open one; its end brings it
)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A session concerns itself, the reference that it names, and the one it named before."""
    sessions = {session["id"]: session for session in observed.get(CHECKOUT_SESSION.name, ())}
    if not sessions:
        return set()
    query = select(CheckoutSession.reference).where(CheckoutSession.id.in_(sessions))
    before = (await tx.execute(query)).scalars()
    named = {*before, *(reference_of(session) for session in sessions.values())}
    return {f"{CHECKOUT_SESSION.name}:{id}" for id in sessions} | {r for r in named if r}


_CLOSE: Final = text(
    """
    update open_payables p set closed_at = :now
    where p.reference = any(:references) and p.closed_at is null and (
        exists (
            select from stripe.checkout_sessions s
            left join stripe.payment_intents i on i.id = s.payment_intent
            where s.id = p.stripe_id and (s.status = 'expired' or s.status = 'complete'
                and (s.payment_intent is null or i.status in (
                     'succeeded', 'canceled', 'processing', 'requires_capture'))))
        or exists (
            select from stripe.payment_intents i where i.id = p.stripe_id
            and i.status in ('succeeded', 'canceled', 'processing', 'requires_capture')))
    """
)


async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
    """Close the reservations whose session or intent can no longer be paid. A complete session is
    open here until its payment is known: until then, its money would be offered again.
    """
    await tx.execute(_CLOSE, {"now": now, "references": sorted(roots)})
