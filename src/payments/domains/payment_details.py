"""One payment with all that hangs on it: its refunds, its disputes, and who was told what."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, case, func, select

from payments.context import Ctx
from payments.core import errors
from payments.core.errors import NotFound
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import ObjectId
from payments.domains.disputes import Dispute
from payments.domains.payments import PAYMENTS, PaymentOut, shown, visible
from payments.domains.refunds.api import visible as visible_refunds
from payments.domains.refunds.schemas import RefundOut
from payments.domains.refunds.schemas import shown as shown_refund
from payments.domains.refunds.tables import REFUNDS
from payments.settings import Template
from payments.sync.outbox import Audience, Outgoing

router = APIRouter(prefix="/stripe", tags=["payments"])


class Part(BaseModel):
    """Something that hangs on a payment, as its row says."""

    model_config = ConfigDict(from_attributes=True)


class DisputePart(Part):
    """A dispute of this payment. Evidence is given in Stripe's dashboard."""

    id: str = Field(examples=["dp_1SAbCd"])
    status: str | None = Field(description="Stripe's own word", examples=["needs_response"])
    amount_cents: int = Field(validation_alias="amount", examples=[10000])
    currency: str = Field(examples=["usd"])
    reason: str | None = Field(examples=["fraudulent"])
    evidence_due_by: datetime | None
    is_charge_refundable: bool | None
    balance_effect: int = Field(
        description="what it has moved on the balance, fees included", examples=[-11500]
    )
    balance_currency: str | None = Field(examples=["usd"])
    created_at: datetime


class MessagePart(Part):
    """Somebody was told, or is about to be. `logged`: only the log has it, for want of a mail
    server or an address. `skipped`: its cause is older than EFFECTS_SINCE.
    """

    key: str = Field(examples=["payment_failed:pi_3SAbCd:ch_3SAbCd"])
    template: Template | str
    audience: Audience
    state: Literal["pending", "sent", "logged", "skipped", "dead"]
    sent_at: datetime | None


class PaymentDetail(PaymentOut):
    """One payment, whole. Users see the messages that went to them."""

    refunds: list[RefundOut]
    disputes: list[DisputePart]
    messages: list[MessagePart]


@router.get(
    "/payments/{id}",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def retrieve_payment(ctx: Ctx, who: Authenticated, id: ObjectId) -> PaymentDetail:
    """A payment with its refunds, disputes and messages."""
    async with ctx.db.transaction() as tx:
        row = (await tx.execute(visible(who).where(PAYMENTS.c.id == id))).first()
        if row is None:
            raise NotFound(f"there is no payment {id!r}")
        refunds = (await tx.execute(_refunds(id, who))).all()
        disputes = (await tx.execute(_disputes(id))).all()
        messages = (await tx.execute(_told(id, who))).all()
    return PaymentDetail(
        **shown(row).model_dump(),
        refunds=[shown_refund(refund, remarks=who.privileged) for refund in refunds],
        disputes=[DisputePart.model_validate(dispute) for dispute in disputes],
        messages=[MessagePart.model_validate(message) for message in messages],
    )


def _refunds(payment: str, who: Principal) -> Select[Any]:
    newest = REFUNDS.c.created_at.desc(), REFUNDS.c.id.desc()
    return visible_refunds(who).where(REFUNDS.c.payment_id == payment).order_by(*newest)


def _disputes(payment: str) -> Select[Any]:
    newest = Dispute.created_at.desc(), Dispute.id.desc()
    columns = Dispute.__table__.columns
    return select(*columns).where(Dispute.payment_intent == payment).order_by(*newest)


def _told(payment: str, who: Principal) -> Select[Any]:
    state = func.coalesce(Outgoing.outcome, "pending")
    told = select(
        Outgoing.id.label("key"),
        Outgoing.template,
        Outgoing.audience,
        state.label("state"),
        case((state == "sent", Outgoing.done_at)).label("sent_at"),
    ).where(Outgoing.about == payment)
    if not who.privileged:
        told = told.where(Outgoing.audience == "customer")
    return told.order_by(Outgoing.received_at.desc(), Outgoing.id.desc())
