"""What was sold and disputed in a window, and how credits moved in it."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.disputes import OVER
from payments.domains.numbers.schemas import Credits, Disputes, Outstanding, Revenue

_REVENUE: Final = text(
    """
    with paid as (
        select i.currency, i.amount_received as amount, i.customer,
               exists (select from stripe.invoice_payments p
                       join stripe.invoices v on v.id = p.invoice
                       where p.payment_intent = i.id and v.subscription is not null) as recurs
        from stripe.payment_intents i
        where i.status = 'succeeded' and not i.deleted
          and i.created_at >= :start and i.created_at < :end
    )
    select currency, sum(amount)::bigint as total_revenue,
           coalesce(sum(amount) filter (where recurs), 0)::bigint as subscription_revenue,
           coalesce(sum(amount) filter (where not recurs), 0)::bigint as one_time_revenue,
           count(*) as orders, count(distinct customer) as customer_count
    from paid group by currency order by currency
    """
)


async def sum_revenue(tx: AsyncConnection, start: datetime, end: datetime) -> list[Revenue]:
    rows = (await tx.execute(_REVENUE, {"start": start, "end": end})).mappings()
    return [
        Revenue(**row, average_order_value=_half_even(row["total_revenue"], row["orders"]))
        for row in rows
    ]


def _half_even(amount: int, parts: int) -> int:
    share, rest = divmod(amount, parts)
    return share + (2 * rest > parts or (2 * rest == parts and share % 2 == 1))


# A lot whose time is over counts for nothing from that moment, posted or not.
_OUTSTANDING: Final = text(
    """
    select credit_type, sum(remaining)::bigint as credits from credit_lots
    where remaining > 0 and (expires_at is null or expires_at > :now)
    group by credit_type order by credit_type
    """
)
_OWED: Final = text(
    """
    select coalesce((select sum(debt) from credit_accounts), 0)::bigint as debt,
           coalesce((select sum(credits) from waiting_grants), 0)::bigint as waiting
    """
)
_MOVED: Final = text(
    """
    select kind, abs(sum(amount))::bigint as amount from credit_entries
    where created_at >= :start and created_at < :end group by kind
    """
)
WORDS: Final = {
    "grant": "granted",
    "spend": "spent",
    "expiry": "expired",
    "claw_back": "clawed_back",
    "reinstatement": "reinstated",
    "debt": "debt_added",
    "debt_payment": "debt_paid",
}


async def sum_credits(
    tx: AsyncConnection, start: datetime, end: datetime, now: datetime
) -> Credits:
    lots = (await tx.execute(_OUTSTANDING, {"now": now})).mappings()
    by_type = [Outstanding(**row) for row in lots]
    owed = (await tx.execute(_OWED)).mappings().one()
    moved = {row.kind: row.amount for row in await tx.execute(_MOVED, {"start": start, "end": end})}
    return Credits(
        outstanding=sum(each.credits for each in by_type),
        by_type=by_type,
        **owed,
        **{word: moved.get(kind, 0) for kind, word in WORDS.items()},
    )


_DISPUTES: Final = text(
    """
    select count(*) filter (where recent) as opened,
           count(*) filter (where recent and status = any(:over)) as won,
           count(*) filter (where recent and status = 'lost') as lost,
           count(*) filter (where open) as open,
           count(*) filter (where waits) as needs_response,
           min(evidence_due_by) filter (where waits) as next_deadline
    from (
        select status, evidence_due_by, created_at >= :start and created_at < :end as recent,
               status <> all(:over) and status <> 'lost' as open,
               status in ('needs_response', 'warning_needs_response') as waits
        from stripe.disputes where not deleted
    ) as found
    """
)


async def count_disputes(tx: AsyncConnection, start: datetime, end: datetime) -> Disputes:
    bound: dict[str, Any] = {"start": start, "end": end, "over": list(OVER)}
    return Disputes(**(await tx.execute(_DISPUTES, bound)).mappings().one())
