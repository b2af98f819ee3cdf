"""Notices: who is told what, recomputed from the mirrors whenever a payment moves.

Only payments of ours are told about, each cause once under its own key: an attempt that failed, a
dispute, a refund that came back. What is overtaken before it was seen is not told.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.customers import Customer, CustomerLink
from payments.domains.disputes import OVER, Dispute
from payments.domains.payments import PAYMENT_INTENT, PaymentIntent
from payments.domains.refunds.tables import Refund
from payments.sync.outbox import Message, enqueue

PREFIX: Final = f"{PAYMENT_INTENT.name}:"

# Most payments just succeed: one question finds those that may be worth a word.
_CONCERNED: Final = text(
    """
    select id from stripe.payment_intents where id = any(:intents) and failed_attempt is not null
    union select payment_intent from stripe.disputes where payment_intent = any(:intents)
    union select payment_intent from stripe.refunds
    where payment_intent = any(:intents) and status = 'failed'
    """
)


async def settle(tx: AsyncConnection, roots: frozenset[str], _: datetime) -> None:
    """Write what is to be told about these payments; what has been told stays told."""
    named = [root.removeprefix(PREFIX) for root in roots if root.startswith(PREFIX)]
    if not named:
        return
    if intents := (await tx.execute(_CONCERNED, {"intents": named})).scalars().all():
        messages = [
            *[_failed(row) for row in await tx.execute(_failures(intents))],
            *[_disputed(row) for row in await tx.execute(_disputes(intents))],
            *[_came_back(row) for row in await tx.execute(_refunds(intents))],
        ]
        await enqueue(tx, messages)


def _failures(intents: Collection[str]) -> Select[Any]:
    """Attempts that failed and left their payment payable, with the address to write to."""
    mirrored = select(Customer.email).where(Customer.id == PaymentIntent.customer)
    linked = (
        select(CustomerLink.email)
        .where(CustomerLink.stripe_customer_id == PaymentIntent.customer)
        .limit(1)
    )
    address = func.coalesce(
        PaymentIntent.receipt_email, mirrored.scalar_subquery(), linked.scalar_subquery()
    )
    return select(*PaymentIntent.__table__.columns, address.label("address")).where(
        PaymentIntent.id.in_(intents),
        PaymentIntent.reference.is_not(None),
        PaymentIntent.status == "requires_payment_method",
        PaymentIntent.failed_attempt.is_not(None),
    )


def _failed(intent: Row[Any]) -> Message:
    return Message(
        f"payment_failed:{intent.id}:{intent.failed_attempt}",
        "payment_failed",
        "customer",
        about=intent.id,
        recipient=intent.address,
        caused_at=intent.created_at,
        facts={
            "payment": intent.id,
            "reference": intent.reference,
            "amount": intent.amount,
            "currency": intent.currency,
            "reason": intent.failure_message,
        },
    )


def _disputes(intents: Collection[str]) -> Select[Any]:
    return (
        select(*Dispute.__table__.columns, PaymentIntent.reference)
        .join(PaymentIntent, PaymentIntent.id == Dispute.payment_intent)
        .where(
            Dispute.payment_intent.in_(intents),
            PaymentIntent.reference.is_not(None),
            Dispute.status.not_in(OVER),
        )
    )


STAGES: Final = {"warning": ":inquiry", "appeal": ":appeal"}
"""What comes before a dispute and after it has a deadline of its own, so it is told by itself."""


def _disputed(dispute: Row[Any]) -> Message:
    answerable = dispute.status.endswith("needs_response") and dispute.evidence_due_by is not None
    return Message(
        f"dispute:{dispute.id}{STAGES.get(dispute.status.partition('_')[0], '')}",
        "dispute",
        "admin",
        about=dispute.payment_intent,
        caused_at=dispute.created_at,
        facts={
            "dispute": dispute.id,
            "payment": dispute.payment_intent,
            "reference": dispute.reference,
            "amount": dispute.amount,
            "currency": dispute.currency,
            "status": dispute.status,
            "reason": dispute.reason,
            "due_by": dispute.evidence_due_by.isoformat() if answerable else None,
        },
    )


def _refunds(intents: Collection[str]) -> Select[Any]:
    return (
        select(*Refund.__table__.columns, PaymentIntent.reference)
        .join(PaymentIntent, PaymentIntent.id == Refund.payment_intent)
        .where(
            Refund.payment_intent.in_(intents),
            or_(PaymentIntent.reference.is_not(None), Refund.request.is_not(None)),
            Refund.status == "failed",
        )
    )


def _came_back(refund: Row[Any]) -> Message:
    return Message(
        f"refund_failed:{refund.id}",
        "refund_failed",
        "admin",
        about=refund.payment_intent,
        caused_at=refund.created_at,
        facts={
            "refund": refund.id,
            "payment": refund.payment_intent,
            "reference": refund.reference,
            "amount": refund.amount,
            "currency": refund.currency,
            "reason": refund.failure_reason,
        },
    )
