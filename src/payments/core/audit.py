"""The audit log: who did what, when and why, in the transaction that does it; append-only."""

from datetime import datetime
from typing import Any

from asgi_correlation_id import correlation_id
from sqlalchemy import Identity, Index, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.core.principal import Principal
from payments.core.telemetry import mask

SYSTEM = "system"


class AuditEntry(Base):
    """One financial or administrative act. A trigger refuses to change or remove it."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_subject", "subject", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    role: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str]
    reason: Mapped[str | None]
    details: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]


async def record(
    tx: AsyncConnection,
    who: Principal | None,
    *,
    act: str,
    subject: str,
    reason: str | None = None,
    **details: Any,
) -> None:
    """Write down an act, to be committed with it or not at all.

    Args:
        tx: the transaction of the act itself.
        who: the caller; None when the system acts by itself.
        act: what was done, `refund.requested`.
        subject: what it was done to: a payment's, a booking's or a customer's id.
        reason: why, in the caller's words.
        details: JSON that explains it; secrets in it are masked.
    """
    await tx.execute(
        insert(AuditEntry).values(
            actor=who.user_id if who else SYSTEM,
            role=who.role if who else SYSTEM,
            act=act,
            subject=subject,
            reason=reason,
            details=mask(details),
            request_id=correlation_id.get(),
        )
    )
