"""Freezing what was billed, and what it brings in credits by its product's metadata."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.telemetry import alert
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.tables import PRODUCT, Product
from payments.domains.plan_credits.tables import BilledLine
from payments.sync import inbox

_BILLED: Final = text(
    """
    insert into billed_lines (
        id, invoice, subscription, item, customer, product, price, quantity, unit_amount, amount,
        currency, period_start, period_end, paid_at, created_at)
    select l.id, i.id, i.subscription, l.item, i.customer, l.product, l.price,
           coalesce(l.quantity, 1), l.unit_amount, l.amount, l.currency,
           to_timestamp(l.period_start), to_timestamp(l.period_end),
           coalesce(i.paid_at, i.created_at), :now
    from stripe.invoices i
    cross join lateral jsonb_to_recordset(i.lines) as l(
        id text, item text, product text, price text, quantity bigint, unit_amount bigint,
        amount bigint, currency text, proration boolean, period_start bigint, period_end bigint)
    where i.customer = any(:customers) and i.status = 'paid' and i.subscription is not null
      and l.amount > 0 and not l.proration and l.product is not null
      and not exists (select from billed_lines b where b.id = l.id)
    order by l.id
    on conflict (id) do nothing
    returning id, product
    """
)


async def freeze(tx: AsyncConnection, customers: Sequence[str], now: datetime) -> None:
    """Write down what these customers' paid invoices have billed, and size what can be sized."""
    bound = {"customers": list(customers), "now": now}
    fresh = (await tx.execute(_BILLED, bound)).all()
    waiting = await _size(tx, customers)
    # Asked for once a line. The answer is applied after this transaction, and sizes what it left.
    products = {row.product for row in fresh if row.id in waiting}
    await inbox.request_fetches(tx, [(PRODUCT, product) for product in products])


async def _size(tx: AsyncConnection, customers: Sequence[str]) -> set[str]:
    """Size the lines whose product can be read; returns those that go on waiting."""
    unsized = (
        select(BilledLine.id, BilledLine.product, BilledLine.quantity, Product.metadata_)
        .outerjoin(Product, Product.id == BilledLine.product)
        .where(BilledLine.customer.in_(customers), BilledLine.credits.is_(None))
    )
    waiting, sized = set(), []
    for line, product, quantity, metadata in (await tx.execute(unsized)).all():
        facts = read_facts(metadata)
        if metadata is None or facts.credits is None:
            waiting.add(line)
        else:
            number = facts.credits * quantity
            sized.append({"line": line, "credits": number, "credit_type": facts.credit_type})
        if metadata is not None and facts.credits is None:
            alert(
                "credits_unsized",
                "Credits were paid for, and how many cannot be read; correct the product",
                product=product,
                line=line,
                problem=facts.problems[0],
            )
    if sized:
        size = update(BilledLine).where(BilledLine.id == bindparam("line"))
        await tx.execute(size, sized)
    return waiting
