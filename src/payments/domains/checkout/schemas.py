"""What Checkout and PaymentIntent endpoints take and give."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    model_validator,
)

from payments.core.money import MAXIMUM
from payments.core.schemas import Body
from payments.domains.payables import Purpose


def _as_text(value: Any) -> Any:
    """Some systems count their users; a user's id is text here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


AMOUNT = AliasChoices("amount_cents", "amount")
AMOUNT_HELP = "integer in minor units: 10000 is $100.00"

UserId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    BeforeValidator(_as_text, json_schema_input_type=str | int),
]


class Target(Body):
    """What is paid for: a booking, a product of the catalogue, or a payable of your own."""

    booking_id: str | None = Field(None, max_length=200, description="a booking's id or reference")
    product_id: str | None = Field(
        None,
        max_length=255,
        validation_alias=AliasChoices("product_id", "price_id"),
        description="of the catalogue: a product's id, a price's id or its lookup key",
    )
    quantity: StrictInt | None = Field(
        None, ge=1, le=10_000, description="of the product; 1 when left out"
    )
    user_id: UserId | None = Field(
        None, description="who buys the product, if not the caller; from service and admin"
    )
    reference: str | None = Field(None, max_length=200, description="other payables: kind:id")
    payment_type: Purpose | None = Field(None, description="found from the sum when left out")

    @model_validator(mode="after")
    def one_target(self) -> Self:
        if [self.booking_id, self.product_id, self.reference].count(None) != 2:  # noqa: PLR2004 - of three
            raise ValueError("send one of booking_id, product_id and reference")
        if self.product_id is None and (self.quantity, self.user_id) != (None, None):
            raise ValueError("quantity and user_id go with product_id")
        return self


class LineItem(Body):
    """What the page shows for a part of the sum; `name` is display text."""

    name: str = Field(min_length=1, max_length=250, examples=["Booking Deposit"])
    amount_cents: StrictInt = Field(
        gt=0, le=MAXIMUM, validation_alias=AMOUNT, description=AMOUNT_HELP, examples=[10000]
    )
    quantity: StrictInt = Field(1, ge=1, le=10_000)


class CheckoutSessionCreate(Target):
    """Pay for a booking, a product or a plan on Stripe's page. The server knows the price: line
    items must add up to what is due, or be left out.
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
                {"product_id": "credits_100", "quantity": 2},
                {"product_id": "pro", "mode": "subscription"},
            ]
        },
    )

    line_items: list[LineItem] | None = Field(None, min_length=1, max_length=100)
    mode: Literal["payment", "subscription"] | None = Field(
        None, description="a product's price says it by itself"
    )
    trial_days: StrictInt | None = Field(
        None,
        ge=0,
        le=730,
        description="of a plan, from service and admin; else the product's own, once for a user",
    )
    promotion_code: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="a code of yours, such as SUMMER, that lowers what a product or a plan costs",
    )
    success_url: str | None = Field(
        None,
        max_length=2000,
        description="on one of FRONTEND_URLS; {CHECKOUT_SESSION_ID} is filled in",
    )
    cancel_url: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def plans_are_products(self) -> Self:
        if self.mode == "subscription" and self.product_id is None:
            raise ValueError("mode: a subscription is to a product_id")
        if self.product_id is None and (self.trial_days, self.promotion_code) != (None, None):
            raise ValueError("trial_days and promotion_code go with product_id")
        return self

    @property
    def total(self) -> int | None:
        if self.line_items is None:
            return None
        return sum(item.amount_cents * item.quantity for item in self.line_items)


class PaymentIntentCreate(Target):
    """Pay for a booking or a product with Stripe's Elements in your own page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"booking_id": "bk_5d1c0f0e2b6a4c5e", "amount": 10000, "payment_type": "deposit"},
                {"product_id": "credits_100", "quantity": 2},
            ]
        },
    )

    amount_cents: StrictInt | None = Field(
        None, gt=0, le=MAXIMUM, validation_alias=AMOUNT, description=AMOUNT_HELP
    )


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
