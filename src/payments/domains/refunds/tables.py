"""Refunds, mirrored; and refund requests, our reservations of what is to be given back."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, column, text
from sqlalchemy import table as view
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.domains.payables import APP
from payments.domains.payments import PAYMENT_INTENT, references, root_of
from payments.sync.resources import SCHEMA, Mirror, Observed, Resource, StripeObject

PHASES: Final = {"succeeded": 1, "failed": 2, "canceled": 2}
MARK: Final = "refund_request"
"""The metadata key, and the name of the task, that carry a request's id."""


class Refund(Mirror):
    """One refund; a failed or canceled one gives its amount back. `request` names the reservation
    that it was made for, if it was made here.
    """

    __tablename__ = "refunds"
    __table_args__ = (Index("ix_refunds_created_at", "created_at"), {"schema": SCHEMA})

    status: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    payment_intent: Mapped[str | None] = mapped_column(index=True)
    reason: Mapped[str | None]
    failure_reason: Mapped[str | None]
    request: Mapped[str | None]


class RefundRequest(Base):
    """What an admin wants given back. Its amount is reserved until Stripe has the refund; then the
    refund's own state counts. `requested` was not answered yet, `unknown` had no clear answer,
    `rejected` was refused and never became a refund; every other state is Stripe's word.
    """

    __tablename__ = "refund_requests"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        Index("ix_refund_requests_payment_intent", "payment_intent"),
        Index("ix_refund_requests_newest", text("requested_at desc")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_intent: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    params: Mapped[dict[str, Any]]
    reason: Mapped[str | None]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    state: Mapped[str]
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    attempt: Mapped[int] = mapped_column(Integer, server_default="1")
    problem: Mapped[dict[str, Any] | None]


# The view joins the mirror with our requests, and shows the requests that are no refund yet; its
# SQL stands in the migration that made it.
REFUNDS = view(
    "refunds",
    *(
        column(name)
        for name in (
            "id", "request_id", "payment_id", "reference", "booking_id", "customer", "amount_cents",
            "currency", "status", "reason", "comment", "failure_reason", "requested_by",
            "created_at", "updated_at",
        )
    ),
)  # fmt: skip


def read(refund: StripeObject) -> dict[str, Any]:
    names = ("status", "amount", "currency", "payment_intent", "reason", "failure_reason")
    metadata = refund.get("metadata") or {}
    ours = metadata.get("app") == APP
    return {name: refund.get(name) for name in names} | {
        "request": metadata.get(MARK) if ours else None
    }


REFUND = Resource(
    name="refund",
    table=Refund,
    read=read,
    phase=lambda refund: PHASES.get(refund["status"], 0),
    fetch=lambda c, id: c.v1.refunds.retrieve_async(id),
    list=lambda c, params: c.v1.refunds.list_async(params),
    open="status in ('pending', 'requires_action')",
    events=("refund.created", "refund.updated", "refund.failed"),
    from_payload=True,
)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A refund concerns its payment and what that was made for. Where the payment is not here yet,
    its own arrival, ordered by the same lock, finds the refund.
    """
    named = (refund.get("payment_intent") for refund in observed.get(REFUND.name, ()))
    intents = {str(intent) for intent in named if intent}
    if not intents:
        return set()
    return {root_of(intent) for intent in intents} | await references(tx, intents)


_FOLLOW: Final = text(
    """
    update refund_requests q
    set stripe_id = r.id, state = coalesce(r.status, q.state), updated_at = :now
    from stripe.refunds r
    where r.payment_intent = any(:intents) and r.request = q.id::text
      and (q.stripe_id, q.state) is distinct from (r.id, coalesce(r.status, q.state))
    """
)


async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
    """Link each request to the refund that Stripe made of it, and follow its state."""
    if intents := sorted(_intents(roots)):
        await tx.execute(_FOLLOW, {"intents": intents, "now": now})


def _intents(roots: Iterable[str]) -> set[str]:
    prefix = f"{PAYMENT_INTENT.name}:"
    return {root.removeprefix(prefix) for root in roots if root.startswith(prefix)}
