"""Places: a user has one plan of a group, whichever way it begins."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict
from payments.domains.checkout.tables import CheckoutSession
from payments.domains.subscriptions.following import follow, of_users
from payments.domains.subscriptions.plans import Plan
from payments.domains.subscriptions.tables import BEGUN, KIND, SubscriptionRequest


async def open_request(
    tx: AsyncConnection, user: str, plan: Plan, *, now: datetime
) -> Row[Any] | None:
    """The request that holds the user's place in the plan's group."""
    await follow(tx, [user], now=now)
    query = select(SubscriptionRequest).where(
        SubscriptionRequest.user_id == user,
        SubscriptionRequest.plan_group == plan.facts.group,
        SubscriptionRequest.closed_at.is_(None),
    )
    return (await tx.execute(query)).first()


async def refuse_second(
    tx: AsyncConnection, user: str, plan: Plan, *, same: str | None = None
) -> None:
    """There is one plan of a group, wherever it was made. The same request again is another
    matter: it may be the customer who comes back to its form.

    Raises:
        Conflict: there is one, and it is not `same`.
    """
    group = plan.facts.group
    for found in await of_users(tx, [user]):
        if found.plan_group == group and found.status in BEGUN and found.id != same:
            raise taken(found.id, group)


def taken(subscription: str, group: str) -> Conflict:
    return Conflict(
        f"there is a plan of the group {group!r} already ({subscription}); change that one, or "
        "cancel it first",
        subscription=subscription,
    )


async def trial_of(tx: AsyncConnection, user: str, plan: Plan) -> int:
    """The days of the plan's own trial, which is given to a user once in a group."""
    group, found = plan.facts.group, await of_users(tx, [user])
    had = any(row.plan_group == group and not row.status.startswith("incomplete") for row in found)
    return 0 if had else plan.facts.trial_days


async def begun_on_a_page(tx: AsyncConnection, request: str) -> bool:
    """Whether a Checkout page has made the subscription, which may not be known yet."""
    query = select(CheckoutSession.id).where(
        CheckoutSession.reference == f"{KIND}:{request}", CheckoutSession.status == "complete"
    )
    return (await tx.execute(query)).first() is not None
