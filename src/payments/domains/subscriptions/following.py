"""What follows a subscription: its request is linked and ended, and a second live one is told."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.catalog.facts import DEFAULT_GROUP
from payments.domains.customers import CustomerLink
from payments.domains.invoices import INVOICE, billed_by
from payments.domains.subscriptions import history, letters
from payments.domains.subscriptions.tables import BEGUN, ENDED, SUBSCRIPTION
from payments.sync.outbox import Message, enqueue
from payments.sync.resources import Observed

ROOT: Final = "subscriber:"
OF_ONE: Final = "subscription_at_stripe:"
"""What is about one subscription; `subscription:` names a request, by which it is paid for."""


def root_of(user: str) -> str:
    """What orders all that concerns a user's subscriptions."""
    return f"{ROOT}{user}"


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A subscription concerns itself, as its invoices do, and whoever its customer is or was;
    nobody, while that is not known.
    """
    seen = observed.get(SUBSCRIPTION.name, ())
    billed = (billed_by(invoice) for invoice in observed.get(INVOICE.name, ()))
    named = {f"{OF_ONE}{id}" for id in (*(object["id"] for object in seen), *billed) if id}
    customers = {str(object["customer"]) for object in seen if object.get("customer")}
    if not customers:
        return named
    query = select(CustomerLink.user_id).where(CustomerLink.stripe_customer_id.in_(customers))
    return named | {root_of(user) for user in (await tx.execute(query)).scalars()}


_FOLLOW: Final = text(
    """
    update subscription_requests q set stripe_id = s.id
    from stripe.subscriptions s
    where s.reference = 'subscription:' || q.id and q.user_id = any(:users)
      and q.stripe_id is distinct from s.id
    """
)
_END: Final = text(
    """
    update subscription_requests q set closed_at = :now
    from stripe.subscriptions s
    where s.id = q.stripe_id and q.user_id = any(:users) and q.closed_at is null
      and (s.status = any(:ended) or s.deleted or not exists (
          select from customer_links l
          where l.stripe_customer_id = s.customer and l.user_id = q.user_id))
    """
)


async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
    """Follow the requests, and tell of users who pay twice for one thing. Of each subscription,
    note what it has become and write letters.
    """
    if ids := {root.removeprefix(OF_ONE) for root in roots if root.startswith(OF_ONE)}:
        await history.note(tx, ids)
        await letters.write(tx, ids, now)
    users = sorted(root.removeprefix(ROOT) for root in roots if root.startswith(ROOT))
    if users:
        await follow(tx, users, now=now)
        await enqueue(tx, _conflicts(await of_users(tx, users)))


async def follow(tx: AsyncConnection, users: Collection[str], *, now: datetime) -> None:
    """Link requests to what Stripe made of them, and give up the places of those that have ended,
    or are another user's since their customer is.
    """
    await tx.execute(_FOLLOW, {"users": list(users)})
    await tx.execute(_END, {"users": list(users), "now": now, "ended": list(ENDED)})


_OF_USERS: Final = text(
    f"""
    select distinct l.user_id, s.id, s.status, s.created_at, p.id is not null as known,
           coalesce(nullif(btrim(p.metadata ->> 'plan_group'), ''), '{DEFAULT_GROUP}') as plan_group
    from stripe.subscriptions s
    join customer_links l on l.stripe_customer_id = s.customer
    cross join lateral jsonb_array_elements(s.items) as i(item)
    left join stripe.products p on p.id = i.item ->> 'product'
    where l.user_id = any(:users) and not s.deleted
    order by l.user_id, plan_group, s.created_at, s.id
    """  # noqa: S608 - a constant
)


async def of_users(tx: AsyncConnection, users: Collection[str]) -> Sequence[Row[Any]]:
    """Every subscription of some users, with the plan group it is of, the oldest first; `known` is
    whether its product is mirrored yet.
    """
    return (await tx.execute(_OF_USERS, {"users": list(users)})).all()


def _conflicts(rows: Sequence[Row[Any]]) -> list[Message]:
    begun = (row for row in rows if row.known and row.status in BEGUN)
    grouped = groupby(begun, key=lambda row: (row.user_id, row.plan_group))
    return [_told(rows) for rows in (list(found) for _, found in grouped) if len(rows) > 1]


def _told(rows: Sequence[Row[Any]]) -> Message:
    newest = rows[-1]
    return Message(
        f"subscription_conflict:{newest.id}",
        "subscription_conflict",
        "admin",
        about=newest.id,
        caused_at=newest.created_at,
        facts={
            "user": newest.user_id,
            "plan_group": newest.plan_group,
            "subscriptions": [row.id for row in rows],
        },
    )
