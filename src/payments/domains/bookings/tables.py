"""Bookings."""

import datetime as dt
from typing import Final, Literal
from uuid import uuid4

from sqlalchemy import CheckConstraint, Date, Index, Integer, Time, func, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base

State = Literal["pending", "confirmed", "paid"]
KIND: Final = "booking"


class Booking(Base):
    """What was booked, its price, and what the payments linked to it amount to. The money columns
    are written by `Bookings.paid` alone.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint(
            "total_cents >= 0 and deposit_cents between 0 and total_cents", name="price"
        ),
        Index(
            "ix_bookings_user_id_created_at", "user_id", text("created_at desc"), text("id desc")
        ),
        Index("ix_bookings_created_at", text("created_at desc"), text("id desc")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str | None] = mapped_column(unique=True)
    user_id: Mapped[str]
    email: Mapped[str | None]
    date: Mapped[dt.date | None] = mapped_column(Date)
    time: Mapped[dt.time | None] = mapped_column(Time)
    guests: Mapped[int | None] = mapped_column(Integer)
    menu: Mapped[str | None]
    location: Mapped[str | None]
    currency: Mapped[str]
    own_price: Mapped[bool] = mapped_column(server_default="false")
    total_cents: Mapped[int]
    deposit_cents: Mapped[int]
    addons_cents: Mapped[int] = mapped_column(server_default="0")
    paid_cents: Mapped[int] = mapped_column(server_default="0")
    refunded_cents: Mapped[int] = mapped_column(server_default="0")
    processing_cents: Mapped[int] = mapped_column(server_default="0")
    disputed: Mapped[bool] = mapped_column(server_default="false")
    state: Mapped[str] = mapped_column(server_default="pending")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


def new_id() -> str:
    return f"bk_{uuid4().hex}"
