"""What the booking endpoints take and give."""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from sqlalchemy import Row

from payments.core import money
from payments.core.money import MAXIMUM
from payments.core.schemas import Body, Email
from payments.domains.bookings.payable import due
from payments.domains.bookings.tables import State


def _not_an_id(value: str) -> str:
    if value.startswith("bk_"):
        raise ValueError("bk_ begins the ids that this service gives; choose another beginning")
    return value


def _iso(value: Any) -> Any:
    """Pydantic would take a number for seconds, and so a wrong unit for a date."""
    if isinstance(value, int | float):
        raise ValueError("send ISO 8601 text: 2027-06-12, 18:00")  # noqa: TRY004 - a ValueError is a 422
    return value


Reference = Annotated[
    str, StringConstraints(pattern=r"^[\w.:-]{1,100}$"), AfterValidator(_not_an_id)
]
Date = Annotated[dt.date, BeforeValidator(_iso)]
# JSON Schema's format `time` has a zone, and a booking's time has none.
CLOCK = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?$"
Time = Annotated[
    dt.time, BeforeValidator(_iso), WithJsonSchema({"type": "string", "pattern": CLOCK})
]
Currency = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[a-zA-Z]{3}$")]
Cents = Annotated[
    StrictInt, Field(ge=0, le=MAXIMUM, description="integer in minor units", examples=[10000])
]
PRICE = ("total_cents", "deposit_cents")


class BookingFields(Body):
    """What was booked. The server sets the price from the catalogue; only a service or an admin may
    send `total_cents` and `deposit_cents` of its own.
    """

    date: Date | None = Field(None, examples=["2027-06-12"])
    time: Time | None = Field(None, examples=["18:00"])
    guests: StrictInt | None = Field(None, ge=1, le=10_000, examples=[8])
    menu: str | None = Field(None, min_length=1, max_length=60, examples=["adult"])
    location: str | None = Field(
        None, min_length=1, max_length=500, examples=["123 Main St, San Jose, CA"]
    )
    total_cents: Cents | None = None
    deposit_cents: Cents | None = None

    @model_validator(mode="after")
    def deposit_within_total(self) -> "BookingFields":
        if self.total_cents is not None and (self.deposit_cents or 0) > self.total_cents:
            raise ValueError("deposit_cents may not exceed total_cents")
        if self.time is not None and self.time.tzinfo is not None:
            raise ValueError("time is local to the booking's place: send 18:00, without a zone")
        return self


class BookingCreate(BookingFields):
    """A new booking: what, when and where; or, from a service, a price of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "date": "2027-06-12",
                    "time": "18:00",
                    "guests": 8,
                    "menu": "adult",
                    "location": "123 Main St, San Jose, CA",
                },
                {
                    "reference": "order-4711",
                    "user_id": "u-1",
                    "total_cents": 44000,
                    "deposit_cents": 10000,
                    "currency": "usd",
                },
            ]
        },
    )

    reference: Reference | None = Field(
        None, description="your own id, unique; service and admin only"
    )
    user_id: str | None = Field(
        None, min_length=1, max_length=200, description="service and admin only"
    )
    email: Email | None = Field(None, description="service and admin only")
    currency: Currency | None = Field(None, description="of a price of your own", examples=["usd"])

    @model_validator(mode="after")
    def complete(self) -> "BookingCreate":
        if self.total_cents is None:
            if missing := [
                n
                for n in ("date", "time", "guests", "menu", "location")
                if getattr(self, n) is None
            ]:
                raise ValueError(f"send {', '.join(missing)}, or (as a service) total_cents")
            if self.deposit_cents is not None or self.currency is not None:
                raise ValueError("deposit_cents and currency go with total_cents")
        return self


class BookingUpdate(BookingFields):
    """What changes; the rest stays. Money that was paid, and the state, cannot be written."""

    @model_validator(mode="after")
    def something(self) -> "BookingUpdate":
        if not self.model_fields_set:
            raise ValueError("send at least one field to change")
        if nulls := [name for name in self.model_fields_set if getattr(self, name) is None]:
            raise ValueError(f"null is no value for {', '.join(sorted(nulls))}")
        return self


class BookingOut(BaseModel):
    """A booking and its money, in minor units of `currency`. `due` = total − paid + refunded."""

    object: Literal["booking"] = "booking"
    id: str = Field(examples=["bk_5d1c0f0e2b6a4c5e"])
    reference: str | None
    user_id: str
    date: dt.date | None
    time: Time | None
    guests: int | None
    menu: str | None
    location: str | None
    currency: str = Field(examples=["usd"])
    total_cents: int = Field(description="with the addons that were paid", examples=[44000])
    deposit_cents: int = Field(examples=[10000])
    paid_cents: int = Field(examples=[10000])
    refunded_cents: int = Field(examples=[0])
    processing_cents: int = Field(description="on its way, not here yet", examples=[0])
    due_cents: int = Field(examples=[34000])
    due: str = Field(description="for people", examples=["$340.00"])
    disputed: bool = Field(description="a payment is disputed; due does not rise by it")
    state: State | str = Field(examples=["confirmed"])
    created_at: dt.datetime
    updated_at: dt.datetime


def shown(row: Row[Any]) -> BookingOut:
    computed = {"object", "due", "due_cents", "total_cents"}
    return BookingOut(
        **{name: getattr(row, name) for name in BookingOut.model_fields if name not in computed},
        total_cents=row.total_cents + row.addons_cents,
        due_cents=due(row),
        due=money.display(due(row), row.currency),
    )
