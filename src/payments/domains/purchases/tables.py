"""Purchases: what was ordered, frozen as the catalogue had it then."""

from datetime import datetime
from typing import Final
from uuid import uuid4

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base

KIND: Final = "purchase"


class Purchase(Base):
    """An order at its price; never changed. `credits` is what all of it brings."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("quantity > 0 and unit_amount > 0 and credits >= 0", name="basis"),
        Index("ix_purchases_user_id", "user_id", text("created_at desc")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    email: Mapped[str | None]
    product: Mapped[str]
    price: Mapped[str]
    name: Mapped[str]
    quantity: Mapped[int] = mapped_column(Integer)
    unit_amount: Mapped[int]
    currency: Mapped[str]
    credits: Mapped[int]
    credit_type: Mapped[str]
    created_at: Mapped[datetime]


def new_id() -> str:
    return f"pu_{uuid4().hex}"
