"""What Checkout and PaymentIntent endpoints take and give."""

from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, model_validator

from payments.core.money import MAXIMUM
from payments.core.schemas import Body
from payments.domains.payables import Purpose

AMOUNT = AliasChoices("amount_cents", "amount")
AMOUNT_HELP = "integer in minor units: 10000 is $100.00"


class LineItem(Body):
    """What the page shows for a part of the sum; `name` is display text."""

    name: str = Field(min_length=1, max_length=250, examples=["Booking Deposit"])
    amount_cents: StrictInt = Field(
        gt=0, le=MAXIMUM, validation_alias=AMOUNT, description=AMOUNT_HELP, examples=[10000]
    )
    quantity: StrictInt = Field(1, ge=1, le=10_000)


class CheckoutSessionCreate(Body):
    """Pay for a booking on Stripe's page. The server knows the price: line items must add up to
    what is due, or be left out.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"booking_id": "bk_5d1c0f0e2b6a4c5e", "payment_type": "deposit"},
                {
                    "booking_id": "bk_5d1c0f0e2b6a4c5e",
                    "line_items": [{"name": "Booking Deposit", "amount": 10000, "quantity": 1}],
                    "mode": "payment",
                },
            ]
        },
    )

    booking_id: str | None = Field(None, max_length=200, description="a booking's id or reference")
    reference: str | None = Field(
        None, max_length=200, description="instead of booking_id, for other payables: kind:id"
    )
    line_items: list[LineItem] | None = Field(None, min_length=1, max_length=100)
    payment_type: Purpose | None = Field(None, description="found from the sum when left out")
    mode: Literal["payment"] = "payment"
    success_url: str | None = Field(
        None,
        max_length=2000,
        description="on one of FRONTEND_URLS; {CHECKOUT_SESSION_ID} is filled in",
    )
    cancel_url: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def one_target(self) -> "CheckoutSessionCreate":
        _one_target(self.booking_id, self.reference)
        return self

    @property
    def total(self) -> int | None:
        if self.line_items is None:
            return None
        return sum(item.amount_cents * item.quantity for item in self.line_items)


class PaymentIntentCreate(Body):
    """Pay for a booking with Stripe's Elements in your own page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"booking_id": "bk_5d1c0f0e2b6a4c5e", "amount": 10000, "payment_type": "deposit"}
            ]
        },
    )

    booking_id: str | None = Field(None, max_length=200, description="a booking's id or reference")
    reference: str | None = Field(None, max_length=200, description="other payables: kind:id")
    amount_cents: StrictInt | None = Field(
        None, gt=0, le=MAXIMUM, validation_alias=AMOUNT, description=AMOUNT_HELP
    )
    payment_type: Purpose | None = Field(None, description="found from the amount when left out")

    @model_validator(mode="after")
    def one_target(self) -> "PaymentIntentCreate":
        _one_target(self.booking_id, self.reference)
        return self


def _one_target(booking_id: str | None, reference: str | None) -> None:
    if (booking_id is None) == (reference is None):
        raise ValueError("send booking_id, or reference, and not both")


class CheckoutSessionOut(BaseModel):
    """Where to send the customer. Both urls are the same."""

    session_id: str = Field(examples=["cs_test_a1B2"])
    url: str = Field(examples=["https://checkout.stripe.com/c/pay/cs_test_a1B2"])
    checkout_url: str
    expires_at: datetime
    booking_id: str | None
    reference: str
    payment_type: Purpose
    amount_cents: int = Field(examples=[10000])
    currency: str = Field(examples=["usd"])


class PaymentIntentOut(BaseModel):
    """What Stripe's Elements need. The client_secret is for this customer's browser alone."""

    id: str = Field(examples=["pi_3SAbCd"])
    client_secret: str
    publishable_key: str | None
    status: str = Field(examples=["requires_payment_method"])
    booking_id: str | None
    reference: str
    payment_type: Purpose
    amount_cents: int = Field(examples=[10000])
    currency: str = Field(examples=["usd"])


class CheckoutSessionState(BaseModel):
    """What a success page asks until `paid`: the page's own word is not proof."""

    session_id: str
    status: Literal["open", "complete", "expired"] | str
    payment_status: Literal["unpaid", "paid", "no_payment_required"] | str
    paid: bool = Field(description="the money is here and what it pays for knows it")
    booking_id: str | None
    reference: str | None
    payment_intent: str | None
    payment_type: str | None
    amount_cents: int | None
    currency: str | None


class ConfigOut(BaseModel):
    """What a front end may know."""

    publishable_key: str | None = Field(examples=["pk_test_…"])
    stripe_js: str = Field(
        description="the script for Elements", examples=["https://js.stripe.com/endive/stripe.js"]
    )
    currency: str = Field(examples=["usd"])
    livemode: bool
    api_version: str
