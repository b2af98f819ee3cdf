"""Subscriptions as they are shown: the mirror's rows, with what their plans promise and cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import money
from payments.core.errors import NotFound
from payments.core.principal import Principal
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.tables import Price, Product
from payments.domains.customers import CustomerLink
from payments.domains.subscriptions.changing import visible
from payments.domains.subscriptions.plans import Plan
from payments.domains.subscriptions.schemas import PlanOut, SubscriptionOut
from payments.domains.subscriptions.tables import Subscription, entitled

AS_STRIPE_SAYS = (
    "id", "status", "current_period_start", "current_period_end", "trial_end",
    "cancel_at_period_end", "cancel_at", "canceled_at", "ended_at", "created_at", "updated_at",
)  # fmt: skip


async def one(ctx: Context, id: str, who: Principal | None = None) -> SubscriptionOut:
    """As the mirror has it; for a caller, if it is his to see.

    Raises:
        NotFound: there is none, or this principal may not see it.
    """
    query = visible(who) if who else select(Subscription)
    async with ctx.db.transaction() as tx:
        rows = (await tx.execute(query.where(Subscription.id == id))).all()
        if not rows:
            raise NotFound(f"there is no subscription {id!r}")
        [found] = await shown(tx, rows)
    return found


async def shown(tx: AsyncConnection, rows: Sequence[Row[Any]]) -> list[SubscriptionOut]:
    """These rows of the mirror, in their order."""
    prices = await _prices(tx, [item["price"] for row in rows for item in row.items])
    users = await _users(tx, [row.customer for row in rows])
    return [
        SubscriptionOut(
            **{name: getattr(row, name) for name in AS_STRIPE_SAYS},
            user_id=users.get(row.customer),
            entitled=entitled(row.status),
            plans=[_plan(item, prices.get(item["price"])) for item in row.items],
        )
        for row in rows
    ]


async def offered(ctx: Context, plan: Plan, quantity: int) -> PlanOut:
    """A plan as an item of a subscription would show it."""
    async with ctx.db.transaction() as tx:
        prices = await _prices(tx, [plan.price])
    item = {"product": plan.product, "price": plan.price, "quantity": quantity}
    return _plan(item, prices.get(plan.price))


async def _prices(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, Row[Any]]:
    query = (
        select(*Price.__table__.columns, Product.name, Product.metadata_.label("facts"))
        .outerjoin(Product, Product.id == Price.product)
        .where(Price.id.in_(set(ids)))
    )
    found: Sequence[Any] = (await tx.execute(query)).all()
    return {row.id: row for row in found}


async def _users(tx: AsyncConnection, customers: Sequence[str]) -> dict[str, str]:
    query = select(CustomerLink.stripe_customer_id, CustomerLink.user_id).where(
        CustomerLink.stripe_customer_id.in_(set(customers))
    )
    return {str(customer): user for customer, user in await tx.execute(query)}


def _plan(item: Mapping[str, Any], price: Row[Any] | None) -> PlanOut:
    """An item, and what is known of its price; the catalogue's events may be on their way."""
    said = read_facts(price.facts if price else None)
    names = ("name", "lookup_key", "unit_amount", "currency", "interval", "interval_count")
    fixed = price is not None and price.unit_amount is not None
    return PlanOut(
        product=item["product"],
        price=item["price"],
        quantity=item["quantity"],
        tier=said.plan_tier,
        group=said.group,
        features=list(said.feature_flags),
        amount=money.display(price.unit_amount, price.currency) if price and fixed else None,
        **{name: getattr(price, name, None) for name in names},
    )
