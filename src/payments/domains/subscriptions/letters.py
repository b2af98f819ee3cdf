"""Letters about a subscription: a trial that ends, a renewal that was not paid, an end; recomputed
from the mirrors, each cause once under its own key.

Only subscriptions of ours are written about, and nothing that has been overtaken or is old.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.subscriptions.tables import BEGUN
from payments.sync.chores import Chore
from payments.sync.outbox import Message, enqueue

WARNED_BEFORE: Final = timedelta(days=3)
"""As long before the end of a trial as Stripe sends its own warning; a shorter one at once."""
DUNNING: Final = timedelta(days=60)
"""Stripe tries to collect an invoice for two months at most."""
NEWS: Final = timedelta(days=7)

_ABOUT: Final = """
    s.id as subscription,
    coalesce((select c.email from stripe.customers c where c.id = s.customer),
             (select l.email from customer_links l where l.stripe_customer_id = s.customer
              limit 1)) as address,
    (select string_agg(distinct p.name, ' and ')
     from jsonb_array_elements(s.items) as i(item)
     join stripe.products p on p.id = i.item ->> 'product') as plan
"""
_UNPAID: Final = text(
    f"""
    select {_ABOUT}, i.id as invoice, i.created_at, i.currency, i.attempt_count,
           i.next_payment_attempt, i.amount_due - coalesce(i.amount_paid, 0) as amount
    from stripe.subscriptions s join stripe.invoices i on i.subscription = s.id
    where s.id = any(:ids) and s.reference is not null and s.status = any(:begun)
      and i.status = 'open' and not i.deleted and i.attempt_count > 0
      and i.billing_reason is distinct from 'subscription_create'
      and i.created_at > :since
    order by i.id
    """  # noqa: S608 - a constant
)
# A form that was put aside for another plan's is canceled too; nothing has begun, and nothing ends.
_ENDED: Final = text(
    f"""
    select {_ABOUT}, s.ended_at, s.cancellation_reason
    from stripe.subscriptions s
    where s.id = any(:ids) and s.reference is not null and s.status = 'canceled'
      and s.ended_at > :since and exists (
          select from stripe.invoices i where i.subscription = s.id and i.status = 'paid')
    order by s.id
    """  # noqa: S608 - a constant
)
# Whoever has canceled knows that his trial ends. Items whose cost is not known, or that come in
# several rhythms, have no sum.
_TRIALS: Final = text(
    f"""
    select {_ABOUT}, s.created_at, s.trial_end, s.currency, cost.*
    from stripe.subscriptions s
    cross join lateral (
        select case when count(*) = count(i.amount)
                     and count(distinct (i.interval, i.interval_count)) = 1
                    then sum(i.amount)::bigint end as amount,
               min(i.interval) as interval, min(i.interval_count) as interval_count
        from jsonb_to_recordset(s.items) as i(amount bigint, interval text, interval_count int)
    ) as cost
    where s.reference is not null and s.status = 'trialing' and not s.deleted
      and (cast(:ids as text[]) is null or s.id = any(:ids))
      and s.trial_end > :now and s.trial_end <= :until
      and not s.cancel_at_period_end
      and (s.cancel_at is null or s.cancel_at > s.trial_end)
    order by s.id
    """  # noqa: S608 - a constant
)


async def write(tx: AsyncConnection, ids: Collection[str], now: datetime) -> None:
    """Write what is to be told about these subscriptions, whose roots are locked."""
    named, begun = sorted(ids), list(BEGUN)
    unpaid = await tx.execute(_UNPAID, {"ids": named, "begun": begun, "since": now - DUNNING})
    ended = await tx.execute(_ENDED, {"ids": named, "since": now - NEWS})
    messages = [*map(_renewal_failed, unpaid), *map(_ended, ended)]
    await enqueue(tx, [*messages, *await _trials(tx, ids=named, now=now)])


async def warn(ctx: Any) -> None:
    """Write about every trial that ends soon. Stripe's own warning may be lost, or come before the
    trial is shortened; the time passes anyway.
    """
    async with ctx.db.transaction() as tx:
        if not await ctx.sync.switches.paused(tx, "effects"):
            await enqueue(tx, await _trials(tx, ids=None, now=ctx.clock.now()))


CHORE: Final = Chore(name="trials", run=warn, every=timedelta(hours=1))


async def _trials(
    tx: AsyncConnection, *, ids: Sequence[str] | None, now: datetime
) -> list[Message]:
    bound = {"ids": ids, "now": now, "until": now + WARNED_BEFORE}
    return [_trial_ending(row) for row in await tx.execute(_TRIALS, bound)]


def _trial_ending(row: Row[Any]) -> Message:
    """A trial that was prolonged ends anew. It is news from when it was to be told."""
    every = row.interval if row.interval_count == 1 else f"{row.interval_count} {row.interval}s"
    return Message(
        f"trial_ending:{row.subscription}:{int(row.trial_end.timestamp())}",
        "trial_ending",
        "customer",
        about=row.subscription,
        recipient=row.address,
        caused_at=max(row.created_at, row.trial_end - WARNED_BEFORE),
        facts={
            "subscription": row.subscription,
            "plan": row.plan,
            "ends_at": row.trial_end.isoformat(),
            "amount": row.amount,
            "currency": row.currency,
            "period": every,
        },
    )


def _renewal_failed(row: Row[Any]) -> Message:
    """What the bank wants is not mirrored: `confirmable` is found out when this is sent."""
    again = row.next_payment_attempt
    return Message(
        f"renewal_failed:{row.invoice}:{row.attempt_count}",
        "renewal_failed",
        "customer",
        about=row.invoice,
        recipient=row.address,
        caused_at=row.created_at,
        facts={
            "subscription": row.subscription,
            "invoice": row.invoice,
            "plan": row.plan,
            "amount": row.amount,
            "currency": row.currency,
            "attempt": row.attempt_count,
            "again_at": again.isoformat() if again is not None else None,
        },
    )


def _ended(row: Row[Any]) -> Message:
    return Message(
        f"subscription_ended:{row.subscription}",
        "subscription_ended",
        "customer",
        about=row.subscription,
        recipient=row.address,
        caused_at=row.ended_at,
        facts={
            "subscription": row.subscription,
            "plan": row.plan,
            "ended_at": row.ended_at.isoformat(),
            "reason": row.cancellation_reason,
        },
    )
