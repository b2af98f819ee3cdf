"""What tells of plans in a timeline: subscriptions, invoices, credits, and what became of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.audit import AuditEntry
from payments.core.money import display
from payments.domains.catalog.tables import Price, Product
from payments.domains.credits.tables import CreditEntry
from payments.domains.customers import CustomerLink
from payments.domains.subscriptions.history import RECOMPUTED
from payments.domains.timeline.schemas import Entry
from payments.domains.timeline.scope import Scope
from payments.domains.timeline.sources import entry, newest

Names = Mapping[str, str]
Items = Sequence[Mapping[str, Any]]

MOVED: Final = {
    "grant": "{n} credits were granted",
    "spend": "{n} credits were spent",
    "expiry": "{n} credits expired",
    "claw_back": "{n} credits were clawed back",
    "reinstatement": "{n} credits were given back",
    "debt": "{n} credits became a debt",
    "debt_payment": "{n} credits paid a debt",
}
IS: Final = {
    "trialing": "its trial lasts until {trial_end}",
    "active": "it runs until {current_period_end}",
    "past_due": "a payment for it failed, and Stripe tries again",
    "unpaid": "its payments failed, and Stripe has stopped trying",
    "incomplete": "its first payment is not made yet",
    "incomplete_expired": "its first payment was not made in time",
    "paused": "it is paused",
    "canceled": "it ended at {ended_at}{why}",
}


async def of_plans(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """The subscriptions that were asked for, and what each of them has become since."""
    subscriptions = scope.billing.subscriptions
    named = scope.anchor.subscriptions
    told = select(AuditEntry).where(AuditEntry.subject.in_(named), AuditEntry.act == RECOMPUTED)
    history = await newest(tx, told, "at", limit) if named else ()
    items = [row.items or () for row in subscriptions]
    for row in history:
        items += [row.details["items"] or (), (row.details["before"] or {}).get("items") or ()]
    names = await _names(tx, items)
    return [
        *[_subscription(row, names) for row in subscriptions],
        *[entry for row in history if (entry := _became(row, names)) is not None],
    ]


def of_invoices(scope: Scope) -> Iterator[Entry]:
    for row in scope.billing.invoices:
        why = f" ({row.billing_reason})" if row.billing_reason else ""
        yield Entry(
            at=row.created_at, kind="invoice", id=row.id,
            text=f"an invoice over {display(row.total, row.currency)} was made{why}; it is "
            f"{_collected(row)}",
            facts={"subscription": row.subscription, "amount_paid": row.amount_paid,
                   "attempt_count": row.attempt_count, "updated_at": row.updated_at},
        )  # fmt: skip


async def of_credits(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """How the credits that were paid for here moved; a user's own."""
    billing = scope.billing
    rows = (*scope.payments, *scope.sessions, *billing.invoices)
    customers = {row.customer for row in rows if row.customer}
    owners = select(CustomerLink.user_id).where(CustomerLink.stripe_customer_id.in_(customers))
    theirs = CreditEntry.user_id.in_(owners)
    bought = func.split_part(CreditEntry.source, ":", 2).in_({str(row.id) for row in rows})
    lots = select(CreditEntry.lot).where(theirs, bought).scalar_subquery()
    moved = select(CreditEntry).where(theirs, bought | CreditEntry.lot.in_(lots))
    if not scope.who.privileged:
        moved = moved.where(CreditEntry.user_id == scope.who.user_id)
    found = await newest(tx, moved, "created_at", limit) if customers else ()
    return [_credits(row) for row in reversed(found)]  # what was booked at once keeps its order


async def _names(tx: AsyncConnection, items: Sequence[Items]) -> Names:
    """What people call the plans behind these prices."""
    prices = {str(item["price"]) for some in items for item in some}
    query = (
        select(Price.id, func.coalesce(Product.name, Price.lookup_key, Price.id))
        .outerjoin(Product, Product.id == Price.product)
        .where(Price.id.in_(prices))
    )
    return {str(id): str(name) for id, name in await tx.execute(query)}


def _plans(items: Items | None, names: Names) -> str:
    """`Silver, 3 Gold`."""
    each = ((item.get("quantity") or 1, item["price"]) for item in items or ())
    return ", ".join(f"{n} {names.get(id, id)}" if n > 1 else names.get(id, id) for n, id in each)


def _subscription(row: Row[Any], names: Names) -> Entry:
    return Entry(
        at=row.created_at, kind="subscription", id=row.id,
        text=f"a subscription to {_plans(row.items, names)} was made; it is {row.status}",
        facts={"current_period_end": row.current_period_end, "trial_end": row.trial_end,
               "updated_at": row.updated_at},
    )  # fmt: skip


def _became(row: Row[Any], names: Names) -> Entry | None:
    """What differs between two states; None where it is nothing that people care for."""
    now, was = row.details, row.details["before"]
    said = [f"is {now['status']}"] if was is None else list(_changes(was, now, names))
    if not said:
        return None
    return Entry(
        at=row.at, kind="effect", id=row.subject,
        text=f"the subscription {'; '.join(said)}", facts=now,
    )  # fmt: skip


def _changes(was: dict[str, Any], now: dict[str, Any], names: Names) -> Iterator[str]:
    if was["status"] != now["status"]:
        why = f" ({now['reason']})" if now["ended_at"] and now["reason"] else ""
        yield f"was {was['status']}, and is {now['status']}{why}"
    if was["items"] != now["items"]:
        yield f"changed from {_plans(was['items'], names)} to {_plans(now['items'], names)}"
    if _end(was) != _end(now) and now["ended_at"] is None:
        yield f"is to end {_end(now)}" if _end(now) else "is to go on"
    if was["pause_collection"] != now["pause_collection"]:
        yield "collects no payments now" if now["pause_collection"] else "collects payments again"


def _end(told: dict[str, Any]) -> str | None:
    if told["cancel_at_period_end"]:
        return "with its period"
    at = told["cancel_at"]
    return f"at {_time(datetime.fromisoformat(at))}" if at else None


def _collected(row: Row[Any]) -> str:
    if row.status != "open" or not row.attempt_count:
        return str(row.status)
    again = row.next_payment_attempt
    then = f", and is tried again at {_time(again)}" if again else ""
    return f"open: attempt {row.attempt_count} to collect it failed{then}"


def _credits(row: Row[Any]) -> Entry:
    why = f": {row.reason}" if row.reason else ""
    moved = MOVED[row.kind].format(n=abs(row.amount))
    left = f"{row.debt_after} are owed" if row.debt_after else f"{row.balance_after} are left"
    return entry(
        row, at="created_at", kind="credits", id=f"ce_{row.id}", text=f"{moved}{why}; {left}",
        facts=("source", "cause", "amount", "balance_after", "debt_after", "reference"),
    )  # fmt: skip


def why(scope: Scope) -> Iterator[str]:
    """Why subscriptions that were asked for are as they are."""
    for row in scope.billing.subscriptions:
        if row.id in scope.anchor.subscriptions:
            times = ("trial_end", "current_period_end", "ended_at")
            said = {name: _time(getattr(row, name)) for name in times}
            reason = f" ({row.cancellation_reason})" if row.cancellation_reason else ""
            because = IS.get(row.status, "Stripe says no more").format(**said, why=reason)
            ends = row.ended_at is None and (row.cancel_at_period_end or row.cancel_at)
            yield f"{row.id} is {row.status}: {because}{', and is to end' if ends else ''}"


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at is not None else "an unknown time"
