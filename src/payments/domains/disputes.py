"""Disputes: mirrored, always fetched, shown on what they concern; the work on them is Stripe's
dashboard's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.domains.payments import references, root_of
from payments.sync.apply import timestamp
from payments.sync.resources import Mirror, Observed, Resource, StripeObject

OVER = ("won", "warning_closed", "prevented")
"""States in which the money is ours again, or has always been."""


class Dispute(Mirror):
    """One dispute or inquiry; a payment may have several.

    `balance_effect` is what it has moved on our balance, in minor units of `balance_currency`, fees
    included: negative once the funds are withdrawn, the fee alone after they are back.
    """

    __tablename__ = "disputes"

    status: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    charge: Mapped[str | None]
    payment_intent: Mapped[str | None] = mapped_column(index=True)
    reason: Mapped[str | None]
    evidence_due_by: Mapped[datetime | None]
    is_charge_refundable: Mapped[bool | None]
    balance_effect: Mapped[int]
    balance_currency: Mapped[str | None]


def read(dispute: StripeObject) -> dict[str, Any]:
    names = (
        "status", "amount", "currency", "charge", "payment_intent", "reason",
        "is_charge_refundable",
    )  # fmt: skip
    moved: Sequence[StripeObject] = dispute.get("balance_transactions") or ()
    return {
        **{name: dispute.get(name) for name in names},
        "evidence_due_by": timestamp((dispute.get("evidence_details") or {}).get("due_by")),
        "balance_effect": sum(transaction["net"] for transaction in moved),
        "balance_currency": moved[0]["currency"] if moved else None,
    }


# No state is final: a lost dispute may be won late, or appealed. So the last answer is right, and
# an event's own object is not asked.
DISPUTE = Resource(
    name="dispute",
    table=Dispute,
    read=read,
    fetch=lambda c, id: c.v1.disputes.retrieve_async(id),
    list=lambda c, params: c.v1.disputes.list_async(params),
    events=(
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    ),
)
RESOURCES = (DISPUTE,)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A dispute concerns its payment and what that was made for."""
    named = (dispute.get("payment_intent") for dispute in observed.get(DISPUTE.name, ()))
    intents = {str(intent) for intent in named if intent}
    if not intents:
        return set()
    return {root_of(intent) for intent in intents} | await references(tx, intents)
