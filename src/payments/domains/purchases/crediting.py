"""The credits of purchases, recomputed for an account whenever one of its payments moves."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.credits import GIVEN_BACK, HARMLESS, Grant, Note, grant, root_of
from payments.domains.payables import reference_of
from payments.domains.purchases.tables import KIND
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
    """A payment, a refund or a dispute concerns the account of whoever bought what it is for; so
    does a page on which nothing was left to pay.
    """
    intents, named = sorted(set(_intents(observed))), sorted(set(_named(observed)))
    if not (intents or named):
        return set()
    buyers = await tx.execute(_BUYERS, {"named": named, "intents": intents})
    return {root_of(user) for user in buyers.scalars()}


def _named(observed: Observed) -> Iterator[str]:
    """The purchases that payments and pages say they are for."""
    for kind in ("payment_intent", "checkout.session"):
        for object in observed.get(kind, ()):
            of, _, id = (reference_of(object) or "").partition(":")
            if of == KIND:
                yield id


def _intents(observed: Observed) -> Iterator[str]:
    for intent in observed.get("payment_intent", ()):
        yield str(intent["id"])
    for kind in ("refund", "dispute"):
        for object in observed.get(kind, ()):
            if object.get("payment_intent"):
                yield str(object["payment_intent"])


# What a dispute has withdrawn is gone until it is won; an inquiry withdraws nothing. A part is
# rounded in the customer's favour; with the last cent all is taken back. Where a promotion code has
# left nothing to pay, there is no payment, and nothing to give back.
_DIFFERENT: Final = text(
    f"""
    with paid as (
        select p.id as purchase, 'payment:' || i.id as source, i.id as intent, i.customer,
               i.amount_received, w.due
        from purchases p
        join stripe.payment_intents i on i.reference = 'purchase:' || p.id
        cross join lateral (
            select p.credits - div(p.credits * least({GIVEN_BACK}, i.amount_received),
                                   i.amount_received)::bigint as due
        ) w
        where p.user_id = any(:users) and i.status = 'succeeded' and i.amount_received > 0
        union all
        select p.id, 'checkout_session:' || s.id, null, s.customer, 0, p.credits
        from purchases p
        join stripe.checkout_sessions s on s.reference = 'purchase:' || p.id
        where p.user_id = any(:users)
          and s.status = 'complete' and s.payment_status = 'no_payment_required'
    )
    select p.*, paid.* from paid join purchases p on p.id = paid.purchase
    left join credit_lots l on l.source = paid.source
    where p.credits > 0 and l.target is distinct from paid.due
    order by p.user_id, paid.source
    """  # noqa: S608 - a constant
)


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
        source=row.source,
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
