"""Payments: PaymentIntents as Stripe has them, linked to what they pay for."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Index, Select, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.context import Ctx
from payments.core import errors, money, paging
from payments.core.paging import Page
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import Moment, ObjectId
from payments.domains.customers import users_customers
from payments.domains.payables import Offered, Purpose, reference_of
from payments.sync.resources import SCHEMA, Mirror, Observed, Resource, StripeObject

PHASES = {"requires_capture": 1, "succeeded": 2, "canceled": 2}

STRIPES_WORDS: Final = {
    "requires_payment": ("requires_payment_method", "requires_confirmation", "requires_action"),
    "failed": ("requires_payment_method",),
    "partially_refunded": ("succeeded",),
    "refunded": ("succeeded",),
}
"""Stripe's status of a payment whose status here is another word."""

Status = Literal[
    "requires_payment", "processing", "requires_capture", "succeeded", "partially_refunded",
    "refunded", "failed", "canceled",
]  # fmt: skip


class PaymentIntent(Mirror):
    """The part of a PaymentIntent that the business joins to; no client_secret, no card."""

    __tablename__ = "payment_intents"
    __table_args__ = (
        Index("ix_payment_intents_newest", text("created_at desc"), text("id desc")),
        Index("ix_payment_intents_customer", "customer", text("created_at desc"), text("id desc")),
        Index("ix_payment_intents_status", "status", text("created_at desc"), text("id desc")),
        {"schema": SCHEMA},
    )

    status: Mapped[str]
    amount: Mapped[int]
    amount_received: Mapped[int]
    currency: Mapped[str]
    customer: Mapped[str | None]
    reference: Mapped[str | None] = mapped_column(index=True)
    payment_type: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    failed_attempt: Mapped[str | None]
    receipt_email: Mapped[str | None]


def read(intent: StripeObject) -> dict[str, Any]:
    failure = intent.get("last_payment_error") or {}
    return {
        "status": intent["status"],
        "amount": intent["amount"],
        "amount_received": intent.get("amount_received") or 0,
        "currency": intent["currency"],
        "customer": intent.get("customer"),
        "reference": reference_of(intent),
        "payment_type": (intent.get("metadata") or {}).get("payment_type"),
        "failure_code": failure.get("decline_code") or failure.get("code"),
        "failure_message": failure.get("message"),
        "failed_attempt": _attempt(failure),
        "receipt_email": intent.get("receipt_email"),
    }


def _attempt(failure: StripeObject) -> str | None:
    """What tells one failed attempt from the next: its charge, or what it would have charged."""
    method = (failure.get("payment_method") or {}).get("id")
    return failure.get("charge") or method or failure.get("code")


PAYMENT_INTENT = Resource(
    name="payment_intent",
    table=PaymentIntent,
    read=read,
    phase=lambda intent: PHASES.get(intent["status"], 0),
    fetch=lambda c, id: c.v1.payment_intents.retrieve_async(id),
    list=lambda c, params: c.v1.payment_intents.list_async(params),
    open="status not in ('succeeded', 'canceled')",
    events=(
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.processing",
        "payment_intent.amount_capturable_updated",
        "payment_intent.partially_funded",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "payment_intent.canceled",
    ),
    from_payload=True,
)
RESOURCES = (PAYMENT_INTENT,)


def root_of(intent: str) -> str:
    """What orders everything that concerns one payment, known or not: its refunds and itself."""
    return f"{PAYMENT_INTENT.name}:{intent}"


# One array, however many: an IN would be written out anew for each batch.
_REFERENCES: Final = text(
    "select distinct reference from stripe.payment_intents "
    "where id = any(:intents) and reference is not null"
)


async def references(tx: AsyncConnection, intents: Collection[str]) -> set[str]:
    """What these payments were made for, as far as they are mirrored."""
    return set((await tx.execute(_REFERENCES, {"intents": list(intents)})).scalars())


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A PaymentIntent concerns itself, the reference that it names, and the one it named before."""
    intents = {intent["id"]: reference_of(intent) for intent in observed.get("payment_intent", ())}
    if not intents:
        return set()
    named = {reference for reference in intents.values() if reference}
    return named | {root_of(id) for id in intents} | await references(tx, intents)


# The view joins mirrors and rows of ours; its SQL stands in the migration that made it.
PAYMENTS = table(
    "payments",
    *(
        column(name)
        for name in (
            "id", "provider", "stripe_payment_intent_id", "reference", "booking_id",
            "payment_type", "amount_cents", "received_cents", "refunded_cents", "currency",
            "customer", "stripe_status", "status", "disputed", "failure_code", "failure_message",
            "created_at", "updated_at",
        )
    ),
)  # fmt: skip


class Failure(BaseModel):
    """Why the last attempt failed; the payment may still succeed."""

    code: str | None = Field(examples=["insufficient_funds"])
    message: str | None = Field(examples=["Your card has insufficient funds."])


class PaymentOut(BaseModel):
    """One payment. Amounts are integers in minor units."""

    object: Literal["payment"] = "payment"
    id: str = Field(examples=["pi_3SAbCd"])
    booking_id: str | None = Field(examples=["bk_5d1c0f0e2b6a4c5e"])
    reference: str | None = Field(examples=["booking:bk_5d1c0f0e2b6a4c5e"])
    provider: Literal["stripe"]
    stripe_payment_intent_id: str | None
    payment_type: Purpose | str | None = Field(examples=["deposit"])
    amount_cents: int = Field(examples=[10000])
    received_cents: int
    refunded_cents: int
    amount: str = Field(description="for people", examples=["$100.00"])
    currency: str = Field(examples=["usd"])
    status: Status | str = Field(examples=["succeeded"])
    stripe_status: str = Field(description="Stripe's own word", examples=["succeeded"])
    disputed: bool
    failure: Failure | None
    created_at: datetime
    updated_at: datetime


def shown(row: Any) -> PaymentOut:
    failure = (
        Failure(code=row.failure_code, message=row.failure_message) if row.failure_code else None
    )
    joined = {"object", "amount", "failure"}
    return PaymentOut(
        **{name: getattr(row, name) for name in PaymentOut.model_fields if name not in joined},
        amount=money.display(row.amount_cents, row.currency),
        failure=failure,
    )


router = APIRouter(prefix="/stripe", tags=["payments"])

At = Annotated[
    Moment | None,
    Query(description="ISO 8601 with a zone, or Unix seconds"),
]


@dataclass(frozen=True)
class Created:
    """`created[gte]=…` and its siblings, as Stripe's lists have them."""

    gt: Annotated[At, Query(alias="created[gt]")] = None
    gte: Annotated[At, Query(alias="created[gte]")] = None
    lt: Annotated[At, Query(alias="created[lt]")] = None
    lte: Annotated[At, Query(alias="created[lte]")] = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        at = PAYMENTS.c.created_at
        bounds = (
            (self.gt, at.__gt__),
            (self.gte, at.__ge__),
            (self.lt, at.__lt__),
            (self.lte, at.__le__),
        )
        for bound, compared in bounds:
            if bound is not None:
                query = query.where(compared(bound))
        return query


@router.get(
    "/payments",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def list_payments(
    ctx: Ctx,
    who: Authenticated,
    payables: Offered,
    created: Annotated[Created, Depends()],
    booking_id: Annotated[ObjectId | None, Query(description="a booking's id or reference")] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> Page[PaymentOut]:
    """Payments, newest first: one's own for a user, all for service and admin."""
    async with ctx.db.transaction() as tx:
        seen = visible(who)
        if booking_id is not None:
            id = await payables["booking"].locate(tx, id=booking_id, principal=who)
            seen = select(PAYMENTS).where(PAYMENTS.c.reference == f"booking:{id}")
        query = created.narrow(seen)
        if status is not None:
            query = query.where(PAYMENTS.c.status == status, *_indexed(status))
        rows, more = await paging.page(
            tx, query, PAYMENTS, limit=limit, starting_after=starting_after, visible=seen
        )
    return Page(data=[shown(row) for row in rows], has_more=more, url="/api/v1/stripe/payments")


def _indexed(status: Status) -> Iterator[ColumnElement[bool]]:
    """What a status implies and an index knows: the view computes it row by row."""
    yield PAYMENTS.c.stripe_status.in_(STRIPES_WORDS.get(status, (status,)))
    if status in ("partially_refunded", "refunded"):
        refunds = table("refunds", column("payment_intent"), column("status"), schema=SCHEMA)
        given_back = select(refunds.c.payment_intent).where(refunds.c.status == "succeeded")
        yield PAYMENTS.c.id.in_(given_back)


def visible(who: Principal) -> Select[Any]:
    """The payments that a caller may see: a user his own, service and admin all."""
    if who.privileged:
        return select(PAYMENTS)
    return select(PAYMENTS).where(PAYMENTS.c.customer.in_(users_customers(who.user_id)))
