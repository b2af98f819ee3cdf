"""How subscriptions are, begin, convert and end: all together, and plan by plan.

A subscription has *begun* when an invoice of it was paid, be it of nothing, as a trial's is; one
that was never paid for is not counted as canceled. It *pays* from its trial's end on, or from its
beginning, until it has ended.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.analytics import rate
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.tables import Price, Product
from payments.domains.numbers.recurring import Revenue, Sums, sum_recurring
from payments.domains.numbers.schemas import (
    Checkouts,
    Churn,
    PlanNumbers,
    States,
    Subscriptions,
    Trials,
)

# Everything that lived in the window or lives now. What has ended was paid for at least once;
# `incomplete` has not begun, and `incomplete_expired` never did.
_LIVED: Final = """
    with lived as (
        select s.*, s.status <> 'incomplete' as begun,
               s.status <> 'incomplete' and coalesce(s.trial_end, s.created_at) < :start
                   and (s.ended_at is null or s.ended_at >= :start) as paid_at_start,
               s.created_at < :end and (s.ended_at is null or s.ended_at >= :end) as left_at_end,
               s.trial_end is not null and least(s.trial_end, s.ended_at) >= :start
                   and least(s.trial_end, s.ended_at) < :until as tried
        from stripe.subscriptions s
        where not s.deleted and s.status <> 'incomplete_expired'
          and (s.ended_at is null or s.ended_at >= :start and exists (
              select from stripe.invoices v where v.subscription = s.id and v.status = 'paid'))
    )
"""
_NUMBERS: Final = """
    count(*) filter (where status = 'active') as active,
    count(*) filter (where status = 'trialing') as trialing,
    count(*) filter (where status = 'past_due') as past_due,
    count(*) filter (where status = 'unpaid') as unpaid,
    count(*) filter (where status = 'paused') as paused,
    count(*) filter (where status = 'incomplete') as incomplete,
    count(*) filter (where begun and created_at >= :start and created_at < :end) as started,
    count(*) filter (where ended_at < :end) as canceled,
    count(*) filter (where paid_at_start) as at_start,
    count(*) filter (where paid_at_start and ended_at < :end) as ended,
    count(*) filter (where tried) as trials,
    count(*) filter (where tried and exists (
        select from stripe.invoices v where v.subscription = lived.id and v.status = 'paid'
        and v.amount_paid > 0 and v.created_at >= lived.trial_end)) as converted
"""
_TOGETHER: Final = text(f"{_LIVED} select {_NUMBERS} from lived")  # noqa: S608 - constants
_BY_PRICE: Final = text(
    f"""
    {_LIVED}
    select price, {_NUMBERS}
    from lived cross join lateral (
        select distinct i ->> 'price' as price from jsonb_array_elements(items) as i) as priced
    group by price
    """  # noqa: S608 - constants
)
_CUSTOMERS: Final = text(
    f"""
    {_LIVED}
    select count(*) as at_start, count(*) filter (where not still) as lost
    from (
        select bool_or(left_at_end and begun) as still from lived
        group by customer having bool_or(paid_at_start)
    ) as customers
    """  # noqa: S608 - constants
)
# A request that Stripe refused opened nothing; of a page that was closed for another plan's, the
# plan that was asked for last counts.
_CHECKOUTS: Final = text(
    """
    select q.price, count(*) as opened, count(*) filter (where exists (
        select from stripe.invoices v where v.subscription = q.stripe_id and v.status = 'paid'
    )) as completed
    from subscription_requests q
    where q.reserved_at >= :start and q.reserved_at < :end and (
        q.stripe_id is not null or exists (
            select from stripe.checkout_sessions c where c.reference = 'subscription:' || q.id))
    group by q.price
    """
)

NOTHING: Final = dict.fromkeys(
    (*States.model_fields, "started", "canceled", "at_start", "ended", "trials", "converted"), 0
)


async def count_subscriptions(
    tx: AsyncConnection, start: datetime, end: datetime, now: datetime
) -> tuple[Subscriptions, list[PlanNumbers]]:
    """All together, and each plan that has anything to say."""
    window = {"start": start, "end": end}
    bound = {**window, "until": min(end, now)}
    together = dict((await tx.execute(_TOGETHER, bound)).mappings().one())
    lost = (await tx.execute(_CUSTOMERS, bound)).one()
    priced = {row["price"]: row for row in (await tx.execute(_BY_PRICE, bound)).mappings()}
    opened = {row.price: _checkouts(row) for row in await tx.execute(_CHECKOUTS, window)}
    revenue = await sum_recurring(tx, now)
    shown = Subscriptions(
        **_states(together),
        **_bringing(revenue.all),
        churn=Churn(
            subscriptions_at_start=together["at_start"],
            subscriptions_ended=together["ended"],
            rate=rate(together["ended"], together["at_start"]),
            customers_at_start=lost.at_start,
            customers_lost=lost.lost,
            customer_rate=rate(lost.lost, lost.at_start),
        ),
        trials=_trials(together),
        checkouts=_all(opened),
    )
    return shown, await _plans(tx, priced, opened, revenue)


async def _plans(
    tx: AsyncConnection,
    priced: Mapping[str, Any],
    opened: Mapping[str, Checkouts],
    revenue: Revenue,
) -> list[PlanNumbers]:
    prices = {*priced, *opened}
    names = await _names(tx, prices)
    found = [
        _plan(price, names.get(price), priced.get(price, NOTHING), revenue.by_price[price])
        for price in sorted(prices)
    ]
    for plan in found:
        plan.checkouts = opened.get(plan.price, plan.checkouts)
    said = (plan for plan in found if _says_anything(plan))
    return sorted(said, key=lambda plan: (-plan.active, -plan.trialing, -plan.past_due, plan.price))


def _says_anything(plan: PlanNumbers) -> bool:
    counted = (getattr(plan, name) for name in (*States.model_fields, "started", "canceled"))
    return any(counted) or bool(plan.trials.ended or plan.checkouts.opened)


def _plan(price: str, named: Any, row: Mapping[str, Any], sums: Sums) -> PlanNumbers:
    return PlanNumbers(
        price=price,
        product=named and named.product,
        name=named and named.name,
        lookup_key=named and named.lookup_key,
        plan_tier=named and read_facts(named.facts).plan_tier,
        **_states(row),
        **_bringing(sums),
        subscriptions_at_start=row["at_start"],
        subscriptions_ended=row["ended"],
        churn_rate=rate(row["ended"], row["at_start"]),
        trials=_trials(row),
        checkouts=Checkouts(opened=0, completed=0, rate=None),
    )


async def _names(tx: AsyncConnection, prices: set[str]) -> dict[str, Any]:
    query = (
        select(Price.id, Price.product, Price.lookup_key, Product.name)
        .add_columns(Product.metadata_.label("facts"))
        .outerjoin(Product, Product.id == Price.product)
        .where(Price.id.in_(prices))
    )
    return {row.id: row for row in await tx.execute(query)}


def _states(row: Mapping[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in (*States.model_fields, "started", "canceled")}


def _bringing(sums: Sums) -> dict[str, Any]:
    return {"mrr": sums.shown(), "mrr_unknown": sums.unknown}


def _trials(row: Mapping[str, Any]) -> Trials:
    ended, converted = row["trials"], row["converted"]
    return Trials(ended=ended, converted=converted, rate=rate(converted, ended))


def _checkouts(row: Any) -> Checkouts:
    completed = rate(row.completed, row.opened)
    return Checkouts(opened=row.opened, completed=row.completed, rate=completed)


def _all(opened: Mapping[str, Checkouts]) -> Checkouts:
    total = sum(each.opened for each in opened.values())
    completed = sum(each.completed for each in opened.values())
    return Checkouts(opened=total, completed=completed, rate=rate(completed, total))
