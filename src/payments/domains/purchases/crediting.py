"""The credits of purchases, recomputed for an account whenever one of its payments moves."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.credits import Grant, Note, grant, root_of
from payments.domains.payables import reference_of
from payments.sync.resources import Observed

ROOT: Final = root_of("")

_BUYERS: Final = text(
    """
    select distinct user_id from purchases where id = any(array(
        select unnest(cast(:named as text[]))
        union select split_part(reference, ':', 2) from stripe.payment_intents
        where id = any(:intents) and reference like 'purchase:%'))
    """
)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """A payment, a refund or a dispute concerns the account of whoever bought what it is for."""
    intents = sorted(set(_intents(observed)))
    if not intents:
        return set()
    references = [reference_of(intent) or "" for intent in observed.get("payment_intent", ())]
    named = [each.partition(":")[2] for each in references if each.startswith("purchase:")]
    buyers = await tx.execute(_BUYERS, {"named": named, "intents": intents})
    return {root_of(user) for user in buyers.scalars()}


def _intents(observed: Observed) -> Iterator[str]:
    for intent in observed.get("payment_intent", ()):
        yield str(intent["id"])
    for kind in ("refund", "dispute"):
        for object in observed.get(kind, ()):
            if object.get("payment_intent"):
                yield str(object["payment_intent"])


# What a dispute has withdrawn is gone until it is won; an inquiry withdraws nothing. A part is
# rounded in the customer's favour; with the last cent all is taken back.
_DIFFERENT: Final = text(
    """
    select p.*, i.id as intent, i.customer, i.amount_received, w.due
    from purchases p
    join stripe.payment_intents i on i.reference = 'purchase:' || p.id
    cross join lateral (
        select coalesce((select sum(r.amount) from stripe.refunds r
                         where r.payment_intent = i.id and r.status = 'succeeded'), 0)
             + coalesce((select sum(d.amount) from stripe.disputes d
                         where d.payment_intent = i.id and d.status <> all(:harmless)), 0) as amount
    ) back
    cross join lateral (
        select p.credits - div(p.credits * least(back.amount, i.amount_received),
                               i.amount_received)::bigint as due
    ) w
    left join credit_lots l on l.source = 'payment:' || i.id
    where p.user_id = any(:users) and p.credits > 0
      and i.status = 'succeeded' and i.amount_received > 0 and l.target is distinct from w.due
    order by p.user_id, i.id
    """
)
HARMLESS: Final = (
    "won", "warning_needs_response", "warning_under_review", "warning_closed", "prevented",
)  # fmt: skip


async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
    """Let each payment's credits be what is due of it now."""
    users = sorted(root.removeprefix(ROOT) for root in roots if root.startswith(ROOT))
    if users:
        bound = {"users": users, "harmless": list(HARMLESS)}
        for row in (await tx.execute(_DIFFERENT, bound)).all():
            await grant(tx, row.user_id, _granted(row), Note(now=now, metadata=_said(row)))


def _granted(row: Row[Any]) -> Grant:
    names = (
        "product", "price", "quantity", "unit_amount", "currency", "credits", "amount_received",
    )  # fmt: skip
    return Grant(
        source=f"payment:{row.intent}",
        credits=row.due,
        credit_type=row.credit_type,
        basis={"purchase": row.id, **{name: getattr(row, name) for name in names}},
    )


def _said(row: Row[Any]) -> dict[str, Any]:
    return {
        "payment_intent_id": row.intent,
        "stripe_customer_id": row.customer,
        "amount_paid": row.amount_received,
    }
