"""Whose subscription is meant: that of the customers who have an e-mail address."""

from dataclasses import dataclass

from sqlalchemy import select

from payments.context import Context
from payments.domains.customers import of_address
from payments.domains.subscriptions.schemas import SubscriptionOut
from payments.domains.subscriptions.showing import shown
from payments.domains.subscriptions.tables import ENDED, Subscription


@dataclass(frozen=True, slots=True)
class Holder:
    """A customer, and the subscriptions of his that have not ended, the oldest first."""

    customer: str
    name: str | None
    email: str
    subscriptions: list[SubscriptionOut]


async def holders(ctx: Context, email: str) -> list[Holder]:
    """The customers of an address; there may be several, and some without a subscription."""
    async with ctx.db.transaction() as tx:
        customers = await of_address(tx, email)
        living = select(Subscription).where(
            Subscription.customer.in_([customer.id for customer in customers]),
            Subscription.status.not_in(ENDED),
            ~Subscription.deleted,
        )
        oldest = living.order_by(Subscription.created_at, Subscription.id)
        rows = (await tx.execute(oldest)).all()
        found = list(zip(rows, await shown(tx, rows), strict=True))
    return [
        Holder(
            customer=customer.id,
            name=customer.name,
            email=customer.email or email,
            subscriptions=[seen for row, seen in found if row.customer == customer.id],
        )
        for customer in customers
    ]
