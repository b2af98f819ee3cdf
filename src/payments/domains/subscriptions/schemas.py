"""What the subscription endpoints take and give."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from payments.core.schemas import END, Body
from payments.domains.checkout.schemas import UserId

Named = Annotated[str, StringConstraints(min_length=1, max_length=255)]
PLAN = Field(
    validation_alias=AliasChoices("product_id", "price_id"),
    description="of the catalogue: a product's id, a price's id or its lookup key",
    examples=["pro"],
)
QUANTITY = "how many of the plan, as seats are counted"


class SubscriptionCreate(Body):
    """Subscribe to a plan. The server knows what it costs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"product_id": "pro"}, {"product_id": "pro", "quantity": 3}]
        }
    )

    product_id: Named = PLAN
    quantity: StrictInt = Field(1, ge=1, le=10_000, description=QUANTITY)
    trial_days: StrictInt | None = Field(
        None,
        ge=0,
        le=730,
        description="from service and admin; else the product's own, given once to a user",
    )
    user_id: UserId | None = Field(
        None,
        description="who subscribes, if not the caller; from service and admin",
    )


class PlanChange(Body):
    """Change the plan, or its quantity. With `preview` nothing is changed; send the answer's
    `proration_date` with the change, and it costs what was shown.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"product_id": "pro", "preview": True}, {"product_id": "pro"}]
        }
    )

    product_id: Named = PLAN
    quantity: StrictInt | None = Field(
        None, ge=1, le=10_000, description=f"{QUANTITY}; as it is when left out"
    )
    preview: bool = Field(default=False, description="say what it would cost, and change nothing")
    proration_date: StrictInt | None = Field(
        None, ge=0, lt=int(END.timestamp()), description="a preview's, for an hour"
    )


class PlanOut(BaseModel):
    """An item of a subscription: what it promises, and what it costs a period."""

    product: str | None = Field(examples=["payments_pro"])
    name: str | None = Field(examples=["Pro"])
    tier: str | None = Field(description="the product's plan_tier", examples=["pro"])
    group: str = Field(description="the product's plan_group", examples=["default"])
    features: list[str] = Field(description="the product's feature_flags")
    price: str = Field(examples=["price_1SAbCd"])
    lookup_key: str | None = Field(examples=["pro"])
    quantity: int | None
    unit_amount: int | None = Field(examples=[2999])
    amount: str | None = Field(description="for people", examples=["$29.99"])
    currency: str | None = Field(examples=["usd"])
    interval: str | None = Field(examples=["month"])
    interval_count: int | None


class SubscriptionOut(BaseModel):
    """One subscription, as Stripe has it. `status` is Stripe's word; `entitled` is whether the user
    has what it promises: a payment that failed takes nothing away until Stripe ends it.
    """

    object: Literal["subscription"] = "subscription"
    id: str = Field(examples=["sub_1SAbCd"])
    user_id: str | None
    status: str = Field(examples=["active"])
    entitled: bool
    plans: list[PlanOut]
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime


class SubscriptionCreated(SubscriptionOut):
    """The secret is for this customer's browser alone; null where nothing is to be paid now."""

    client_secret: str | None
    confirms: Literal["payment", "setup"] | None = Field(
        description="what Elements confirm with it: a payment, or a card for the end of the trial"
    )
    publishable_key: str | None


class PlanPreview(BaseModel):
    """What a change of plan would cost at once; negative is credited to the next invoices."""

    object: Literal["plan_preview"] = "plan_preview"
    subscription: str
    price: str
    quantity: int
    amount_cents: int = Field(description="the difference", examples=[1500])
    amount: str = Field(description="for people", examples=["$15.00"])
    amount_due_cents: int = Field(description="what is charged now", examples=[1500])
    currency: str
    proration_date: int


class Period(BaseModel):
    start: datetime | None
    end: datetime | None


class NextInvoice(BaseModel):
    """What Stripe will charge next, as it reckons today."""

    amount_cents: int
    amount: str
    currency: str
    at: datetime | None


WhyMissing = Literal["nothing_follows", "stripe_away"]


class SubscriptionSummary(BaseModel):
    """What a user has now: of several live subscriptions `plan` and `period` are the newest's,
    `entitlements` those of all.
    """

    object: Literal["subscription_summary"] = "subscription_summary"
    user_id: str
    entitled: bool
    status: str | None = Field(examples=["active"])
    plan: PlanOut | None
    period: Period | None
    cancel_at_period_end: bool
    entitlements: list[str] = Field(examples=[["ai_generation", "image_processing"]])
    credits: int = Field(description="what may be spent now, whatever it came from", examples=[200])
    next_invoice: NextInvoice | None = Field(
        description="asked of Stripe each time; all else is known here"
    )
    next_invoice_missing: WhyMissing | None = Field(
        description="why there is no `next_invoice`: `nothing_follows`, or `stripe_away`: Stripe "
        "does not answer now; ask again later",
        examples=[None],
    )
    subscriptions: list[SubscriptionOut]
