"""Billed lines: what a subscription's paid invoices have billed, and the credits that it brings."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base


class BilledLine(Base):
    """A line of a paid invoice, as it was when that was first known; `credits` is what all of it
    brings, null until its product can be read, and never changed after that. An item that is billed
    once is of no subscription item.
    """

    __tablename__ = "billed_lines"
    __table_args__ = (
        CheckConstraint("credits >= 0", name="credits"),
        CheckConstraint("(credits is null) = (credit_type is null)", name="sized"),
        Index("ix_billed_lines_unsized", "product", postgresql_where=text("credits is null")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    invoice: Mapped[str]
    subscription: Mapped[str]
    item: Mapped[str | None]
    customer: Mapped[str] = mapped_column(index=True)
    product: Mapped[str]
    price: Mapped[str | None]
    quantity: Mapped[int]
    unit_amount: Mapped[int | None]
    amount: Mapped[int]
    currency: Mapped[str]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    paid_at: Mapped[datetime]
    credits: Mapped[int | None]
    credit_type: Mapped[str | None]
    created_at: Mapped[datetime]
