"""Subscriptions, mirrored; requests, our reservations of a plan; and what was changed by whom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.domains.invoices import id_of
from payments.domains.payables import reference_of
from payments.domains.subscriptions import cost
from payments.sync.apply import timestamp
from payments.sync.resources import SCHEMA, Mirror, Resource, StripeObject

KIND: Final = "subscription"
ENDED: Final = ("canceled", "incomplete_expired")
"""States that nothing leads out of."""
BEGUN: Final = ("trialing", "active", "past_due", "unpaid", "paused")
"""States of a subscription that counts; an incomplete one was never paid, and ends by itself."""
ENTITLED: Final = ("trialing", "active", "past_due")


class Subscription(Mirror):
    """A customer's plan. `items` says what it is made of, each with its product, price, quantity,
    period and cost; `current_period_end` is the end of the one that ends first. `discounts` are
    those that come off more than one bill. All columns are null in the tombstone of one that was
    never seen.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_customer", "customer", text("created_at desc"), text("id desc")),
        Index("ix_subscriptions_created_at", "created_at"),
        Index("ix_subscriptions_status", "status"),
        Index("ix_subscriptions_ended_at", "ended_at"),
        {"schema": SCHEMA},
    )

    status: Mapped[str | None]
    customer: Mapped[str | None]
    currency: Mapped[str | None]
    items: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    discounts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    current_period_start: Mapped[datetime | None]
    current_period_end: Mapped[datetime | None]
    trial_end: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool | None]
    cancel_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cancellation_reason: Mapped[str | None]
    pause_collection: Mapped[str | None]
    latest_invoice: Mapped[str | None]
    reference: Mapped[str | None] = mapped_column(index=True)


class SubscriptionRequest(Base):
    """A user's place in a plan group, reserved before Stripe is asked, and his until the
    subscription has ended: so there is one at most, whoever races. `params` is what Stripe was
    sent; null where the subscription begins on a Checkout page.
    """

    __tablename__ = "subscription_requests"
    __table_args__ = (
        # The race of two browsers ends here: the second INSERT fails.
        Index(
            "uq_subscription_requests_plan_group",
            "user_id",
            "plan_group",
            unique=True,
            postgresql_where=text("closed_at is null"),
        ),
        Index("ix_subscription_requests_user_id", "user_id"),
        CheckConstraint("quantity > 0 and trial_days >= 0", name="wish"),
        CheckConstraint("form in ('subscription', 'checkout_session')", name="form"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    plan_group: Mapped[str]
    price: Mapped[str]
    quantity: Mapped[int] = mapped_column(Integer)
    trial_days: Mapped[int] = mapped_column(Integer)
    form: Mapped[str]
    params: Mapped[dict[str, Any] | None]
    stripe_id: Mapped[str | None] = mapped_column(unique=True)
    requested_by: Mapped[str]
    reserved_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class SubscriptionChange(Base):
    """Something that was asked of a subscription; its id is the key under which Stripe was."""

    __tablename__ = "subscription_changes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription: Mapped[str] = mapped_column(index=True)
    act: Mapped[str]
    params: Mapped[dict[str, Any]]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]


def new_id() -> str:
    return f"subr_{uuid4().hex}"


def entitled(status: str | None) -> bool:
    """Whether a subscription in this state gives what its plan promises. A payment that failed
    takes nothing away: Stripe tries again, and ends the subscription when it gives up.
    """
    return status in ENTITLED


def read(subscription: StripeObject) -> dict[str, Any]:
    currency = subscription.get("currency")
    items = [_item(item, currency) for item in subscription["items"]["data"]]
    times = ("trial_end", "cancel_at", "canceled_at", "ended_at")
    return {
        "status": subscription["status"],
        "customer": id_of(subscription["customer"]),
        "currency": currency,
        "items": items,
        "discounts": cost.recurring_discounts(subscription),
        "current_period_start": timestamp(_first(items, "current_period_start")),
        "current_period_end": timestamp(_first(items, "current_period_end")),
        **{name: timestamp(subscription.get(name)) for name in times},
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "cancellation_reason": (subscription.get("cancellation_details") or {}).get("reason"),
        "pause_collection": (subscription.get("pause_collection") or {}).get("behavior"),
        "latest_invoice": id_of(subscription.get("latest_invoice")),
        "reference": reference_of(subscription),
    }


def _item(item: StripeObject, currency: str | None) -> dict[str, Any]:
    price = item["price"]
    return {
        "id": item["id"],
        "price": price["id"],
        "product": id_of(price["product"]),
        "quantity": item.get("quantity"),
        **cost.item_cost(item, currency),
        "current_period_start": item.get("current_period_start"),
        "current_period_end": item.get("current_period_end"),
    }


def _first(items: Sequence[dict[str, Any]], name: str) -> int | None:
    return min((item[name] for item in items if item[name] is not None), default=None)


# It moves to and fro between its states, and two changes in a second have no order: so the last
# answer is right, and an event's own object is not asked.
SUBSCRIPTION = Resource(
    name=KIND,
    table=Subscription,
    read=read,
    fetch=lambda c, id: c.v1.subscriptions.retrieve_async(id, {"expand": [cost.EXPANDED]}),
    list=lambda c, params: c.v1.subscriptions.list_async(
        {**params, "expand": [f"data.{cost.EXPANDED}"]}
    ),
    listings=({"status": "all"},),
    open="status not in ('canceled', 'incomplete_expired')",
    events=(
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
    ),
    named_by=dict.fromkeys(
        (
            "customer.discount.created",
            "customer.discount.updated",
            "customer.discount.deleted",
        ),
        "subscription",
    ),
    whole=cost.is_whole,
)
