"""The credits of billed lines, recomputed for an account whenever one of its invoices moves."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.credits import GIVEN_BACK, HARMLESS, Grant, Note, grant_to_customer
from payments.domains.customers import CustomerLink
from payments.domains.plan_credits.roots import ACCOUNT, STRANGER
from payments.domains.plan_credits.sizing import freeze

# The earliest payment for a later period ends a lot, and not that of the next one: so what is heard
# later, or paid out of turn, never lets a lot live again that is over. `unused` is what prorations
# have credited of a period, less what they have charged for it.
_DIFFERENT: Final = text(
    f"""
    with lines as (
        select b.*, 'invoice:' || b.invoice || ':' || b.id as source,
               case when b.item is not null then least(
                   b.period_end + interval '3 days',
                   (select min(later.paid_at) from billed_lines later
                    where later.customer = b.customer and later.item = b.item
                      and later.period_start > b.period_start and later.credits > 0)) end as ends
        from billed_lines b where b.customer = any(:customers) and b.credits > 0
    ), payments as (
        select p.invoice, min(i.id) as intent, sum(i.amount_received) as received,
               sum(least({GIVEN_BACK}, i.amount_received)) as given_back
        from stripe.invoice_payments p join stripe.payment_intents i on i.id = p.payment_intent
        where p.invoice in (select invoice from lines) and p.status = 'paid'
          and i.status = 'succeeded' and i.amount_received > 0
        group by p.invoice
    ), prorated as (
        select v.customer, l.item, to_timestamp(l.period_start) as since,
               to_timestamp(l.period_end) as until, l.amount
        from stripe.invoices v
        cross join lateral jsonb_to_recordset(v.lines) as l(
            item text, amount bigint, proration boolean, period_start bigint, period_end bigint)
        where v.customer = any(:customers) and v.status = 'paid' and l.proration
          and v.lines @> '[{{"proration": true}}]'
    ), shares as materialized (
        select lines.*, payments.intent, coalesce(payments.given_back, 0) as given_back,
               coalesce(payments.received, 1) as received,
               least(lines.amount, greatest(0, (
                   select -sum(p.amount) from prorated p
                   where p.customer = lines.customer and p.item = lines.item
                     and p.until = lines.period_end and p.since >= lines.period_start))) as unused
        from lines left join payments using (invoice)
    ), dues as (
        select shares.*, credits - least(credits, div(
                   credits * (given_back * amount + unused * received),
                   received * amount))::bigint as due
        from shares
    )
    select dues.*, i.amount_paid
    from dues
    join stripe.invoices i on i.id = dues.invoice
    left join credit_lots l on l.source = dues.source
    left join waiting_grants w on w.source = dues.source
    where coalesce(l.target, w.credits, 0) <> dues.due
       or coalesce(l.source, w.source) is not null
          and coalesce(l.expires_at, w.expires_at) is distinct from dues.ends
    order by dues.customer, dues.period_start, dues.source
    """  # noqa: S608 - a constant
)


async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
    """Let each billed line's credits be what is due of it now, for as long as they last."""
    customers = await _customers(tx, roots)
    if not customers:
        return
    await freeze(tx, customers, now)
    bound = {"customers": customers, "harmless": list(HARMLESS)}
    for row in (await tx.execute(_DIFFERENT, bound)).all():
        await grant_to_customer(tx, row.customer, _granted(row), Note(now=now, metadata=_said(row)))


async def _customers(tx: AsyncConnection, roots: Collection[str]) -> Sequence[str]:
    """All that these users are or were, and those who are no user."""
    users = [root.removeprefix(ACCOUNT) for root in roots if root.startswith(ACCOUNT)]
    strangers = {root.removeprefix(STRANGER) for root in roots if root.startswith(STRANGER)}
    if not users:
        return sorted(strangers)
    theirs = select(CustomerLink.stripe_customer_id).where(
        CustomerLink.user_id.in_(users), CustomerLink.stripe_customer_id.is_not(None)
    )
    return sorted(strangers.union(map(str, (await tx.execute(theirs)).scalars())))


def _granted(row: Row[Any]) -> Grant:
    names = (
        "invoice", "subscription", "product", "price", "quantity", "unit_amount", "amount",
        "currency", "credits",
    )  # fmt: skip
    return Grant(
        source=row.source,
        credits=row.due,
        credit_type=row.credit_type,
        expires_at=row.ends,
        basis={name: getattr(row, name) for name in names},
    )


def _said(row: Row[Any]) -> dict[str, Any]:
    period = (str(int(at.timestamp())) for at in (row.period_start, row.period_end))
    return {
        "invoice_id": row.invoice,
        "subscription_id": row.subscription,
        "billing_period": "-".join(period),
        "stripe_customer_id": row.customer,
        "amount_paid": row.amount_paid,
        **({"payment_intent_id": row.intent} if row.intent else {}),
    }
