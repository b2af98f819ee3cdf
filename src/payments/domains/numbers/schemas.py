"""The admin dashboard, as it is given."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from payments.domains.analytics import PaymentAnalyticsOut

Rate = Annotated[float | None, Field(description="null where it divides by nothing")]


class Revenue(BaseModel):
    """What was received of payments begun in the window, in minor units, before refunds."""

    currency: str = Field(examples=["usd"])
    total_revenue: int
    subscription_revenue: int = Field(description="of it by invoices of subscriptions")
    one_time_revenue: int
    orders: int = Field(description="payments that succeeded")
    customer_count: int = Field(description="customers at Stripe who made them")
    average_order_value: int | None = Field(description="total_revenue / orders, half to even")


class Recurring(BaseModel):
    """Monthly recurring revenue of one currency, in its minor units."""

    currency: str = Field(examples=["usd"])
    mrr: int = Field(description="exact until it is rounded once, half to even")
    amount: str = Field(description="for people", examples=["$1,299.50"])
    subscriptions: int = Field(description="whose amounts are in it")


class Churn(BaseModel):
    """Who left, of those who paid when the window began."""

    subscriptions_at_start: int
    subscriptions_ended: int
    rate: Rate
    customers_at_start: int
    customers_lost: int = Field(description="who have no subscription left at the window's end")
    customer_rate: Rate


class Trials(BaseModel):
    """Trials that ended in the window, and those after which money was paid."""

    ended: int
    converted: int
    rate: Rate


class Checkouts(BaseModel):
    """Checkout pages and payment forms opened in the window, and those that became a subscription,
    paid or on trial.
    """

    opened: int
    completed: int
    rate: Rate


class States(BaseModel):
    """How many subscriptions are in which of Stripe's states now."""

    active: int
    trialing: int
    past_due: int
    unpaid: int
    paused: int
    incomplete: int


class Subscriptions(States):
    """All subscriptions together."""

    started: int = Field(description="begun in the window, paid or on trial")
    canceled: int = Field(description="ended in the window, for any reason")
    mrr: list[Recurring]
    mrr_unknown: int = Field(
        description="counted for recurring revenue, and left out: what they bring is not fixed"
    )
    churn: Churn
    trials: Trials
    checkouts: Checkouts


class PlanNumbers(States):
    """One price. A subscription to several counts at each of them."""

    price: str = Field(examples=["price_1SAbCd"])
    product: str | None = Field(examples=["prod_SAbCd"])
    name: str | None = Field(examples=["Pro"])
    lookup_key: str | None = Field(examples=["pro"])
    plan_tier: str | None = Field(examples=["pro"])
    started: int
    canceled: int
    mrr: list[Recurring]
    mrr_unknown: int
    subscriptions_at_start: int
    subscriptions_ended: int
    churn_rate: Rate
    trials: Trials
    checkouts: Checkouts


class Outstanding(BaseModel):
    """Credits that can be spent now."""

    credit_type: str = Field(examples=["payg"])
    credits: int


class Credits(BaseModel):
    """All accounts together. Each number is positive."""

    outstanding: int = Field(description="can be spent now")
    by_type: list[Outstanding]
    debt: int = Field(description="clawed back and not found there, now")
    waiting: int = Field(description="of customers who are no user yet, now")
    granted: int = Field(description="in the window, as are those below")
    spent: int
    expired: int
    clawed_back: int = Field(description="taken from lots for refunds and disputes")
    reinstated: int
    debt_added: int
    debt_paid: int


class Disputes(BaseModel):
    """Disputes opened in the window by how they stand, and what is to be done now."""

    opened: int
    won: int
    lost: int
    open: int = Field(description="now, of any time")
    needs_response: int = Field(description="now, of any time")
    next_deadline: datetime | None = Field(description="of those that need a response")


class Dashboard(BaseModel):
    """Money, subscriptions and credits on one page. Amounts are integers in minor units, one entry
    a currency; currencies are never added up.
    """

    object: Literal["dashboard"] = "dashboard"
    start: datetime
    end: datetime
    as_of: datetime = Field(description="what is said to be now")
    revenue: list[Revenue]
    payments: PaymentAnalyticsOut
    subscriptions: Subscriptions
    plans: list[PlanNumbers] = Field(description="those with anything to say, the busiest first")
    credits: Credits
    disputes: Disputes
