"""What the refund endpoints take and give."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, model_validator

from payments.core import money
from payments.core.money import MAXIMUM
from payments.core.schemas import Body, ObjectId

REASONS: Final = {
    "duplicate": "duplicate",
    "fraudulent": "fraudulent",
    "requested_by_customer": "requested_by_customer",
    "customer_request": "requested_by_customer",
    "customer_requested": "requested_by_customer",
}
"""Stripe's reasons and their other spellings; anything else is kept as a comment."""

State = Literal[
    "requested", "unknown", "pending", "requires_action", "succeeded", "failed", "canceled",
    "rejected",
]  # fmt: skip


def _major(value: Any) -> Any:
    """JavaScript writes 50.00 as 50, so a bare integer could be either unit."""
    if isinstance(value, int):
        raise ValueError(  # noqa: TRY004 - a ValueError is a 422
            f"{value} may mean major or minor units: send amount_cents: {value} for minor units, "
            f'or amount: "{value}.00" for major ones'
        )
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", value):
        raise ValueError('send major units as "50.00", or minor units as amount_cents: 5000')
    return value


MajorAmount = Annotated[
    Decimal,
    BeforeValidator(_major, json_schema_input_type=str | float),
    Field(gt=0, max_digits=12, decimal_places=3, allow_inf_nan=False),
]


class RefundCreate(Body):
    """Give a payment back, whole or in part."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"payment_id": "pi_3SAbCd", "amount_cents": 5000, "reason": "duplicate"},
                {"payment_id": "pi_3SAbCd", "amount": "50.00", "reason": "customer_request"},
                {"payment_id": "pi_3SAbCd"},
            ]
        },
    )

    payment_id: ObjectId = Field(min_length=1, description="a payment's id, as GET /payments says")
    amount_cents: StrictInt | None = Field(
        None, gt=0, le=MAXIMUM, description="in minor units; all that is left when left out"
    )
    amount: MajorAmount | None = Field(
        None, description='the same in major units, with its decimals: "50.00" or 50.00'
    )
    reason: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="duplicate, fraudulent, requested_by_customer (or customer_request); "
        "other text is kept as a comment",
    )

    @model_validator(mode="after")
    def one_amount(self) -> "RefundCreate":
        if self.amount is not None and self.amount_cents is not None:
            raise ValueError("send amount_cents or amount, and not both")
        return self

    @property
    def stripes_reason(self) -> str | None:
        return REASONS.get(self.reason or "")


class RefundOut(BaseModel):
    """A refund. Until Stripe has it, its id is the request's; the request's id stays valid."""

    object: Literal["refund"] = "refund"
    id: str = Field(examples=["re_3SAbCd"])
    request_id: str | None = Field(
        description="ours, null for a refund made elsewhere",
        examples=["5d1c0f0e-2b6a-4c5e-9f1a-0c3b1f6f7a10"],
    )
    payment_id: str | None = Field(examples=["pi_3SAbCd"])
    booking_id: str | None
    reference: str | None
    amount_cents: int = Field(examples=[5000])
    amount: str = Field(description="for people", examples=["$50.00"])
    currency: str = Field(examples=["usd"])
    status: State | str = Field(
        description="Stripe's word; before it has one: requested, unknown; rejected if refused",
        examples=["succeeded"],
    )
    reason: str | None = Field(examples=["requested_by_customer"])
    comment: str | None
    failure_reason: str | None
    created_at: datetime
    updated_at: datetime


def shown(row: Any, *, remarks: bool = True) -> RefundOut:
    """A refund as it is shown; without `remarks` to the customer."""
    computed = {"object", "amount", "comment"}
    return RefundOut(
        **{name: getattr(row, name) for name in RefundOut.model_fields if name not in computed},
        comment=row.comment if remarks else None,
        amount=money.display(row.amount_cents, row.currency),
    )
