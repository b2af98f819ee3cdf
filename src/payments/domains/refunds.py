"""Refunds: mirrored, wherever they were made; they give back what a payment brought."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.domains.payments import references, root_of
from payments.sync.resources import Mirror, Observed, Resource, StripeObject

PHASES = {"succeeded": 1, "failed": 2, "canceled": 2}


class Refund(Mirror):
    """One refund; a failed one gives its amount back."""

    __tablename__ = "refunds"

    status: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    payment_intent: Mapped[str | None] = mapped_column(index=True)
    reason: Mapped[str | None]
    failure_reason: Mapped[str | None]


def read(refund: StripeObject) -> dict[str, Any]:
    names = ("status", "amount", "currency", "payment_intent", "reason", "failure_reason")
    return {name: refund.get(name) for name in names}


REFUND = Resource(
    name="refund",
    table=Refund,
    read=read,
    phase=lambda refund: PHASES.get(refund["status"], 0),
    fetch=lambda c, id: c.v1.refunds.retrieve_async(id),
    events=("refund.created", "refund.updated", "refund.failed"),
    from_payload=True,
)
RESOURCES = (REFUND,)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A refund concerns its payment and what that was made for. Where the payment is not here yet,
    its own arrival, ordered by the same lock, finds the refund.
    """
    named = (refund.get("payment_intent") for refund in observed.get(REFUND.name, ()))
    intents = {str(intent) for intent in named if intent}
    if not intents:
        return set()
    return {root_of(intent) for intent in intents} | await references(tx, intents)
