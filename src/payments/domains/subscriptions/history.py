"""History: what a subscription was, each time the audit log is told what it has become."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

RECOMPUTED: Final = "subscription.recomputed"
"""An entry's `details` say what it is: status, items, ends; `before` what it was, null at first."""

_NOTE: Final = text(
    f"""
    with was as (
        select distinct on (subject) subject, details - 'before' as told
        from audit_log where subject = any(:ids) and act = '{RECOMPUTED}'
        order by subject, id desc
    ), now_ as (
        select s.id, jsonb_build_object(
            'status', s.status,
            'items', (select jsonb_agg(jsonb_build_object(
                          'price', i.item -> 'price', 'product', i.item -> 'product',
                          'quantity', i.item -> 'quantity') order by i.item ->> 'price')
                      from jsonb_array_elements(s.items) as i(item)),
            'trial_end', s.trial_end, 'cancel_at', s.cancel_at,
            'cancel_at_period_end', s.cancel_at_period_end, 'ended_at', s.ended_at,
            'reason', s.cancellation_reason, 'pause_collection', s.pause_collection) as told
        from stripe.subscriptions s
        where s.id = any(:ids) and s.status is not null and (s.reference is not null or exists (
            select from customer_links l where l.stripe_customer_id = s.customer))
    )
    insert into audit_log (actor, role, act, subject, details)
    select 'system', 'system', '{RECOMPUTED}', n.id,
           n.told || jsonb_build_object('before', w.told)
    from now_ n left join was w on w.subject = n.id
    where n.told is distinct from w.told
    order by n.id
    """  # noqa: S608 - a constant
)


async def note(tx: AsyncConnection, ids: Collection[str]) -> None:
    """Write down what has changed about these subscriptions, whose roots are locked; those of
    another application's customers are nobody's history here.
    """
    await tx.execute(_NOTE, {"ids": sorted(ids)})
