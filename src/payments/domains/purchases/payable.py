"""Purchases as a payable: ordered by product, price or key, at the catalogue's price."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict, Invalid, NotFound
from payments.core.money import MAXIMUM, Money, ensure_chargeable
from payments.core.principal import Principal
from payments.domains.catalog import tables as catalog
from payments.domains.catalog.facts import read_facts
from payments.domains.checkout.tables import CheckoutSession
from payments.domains.payables import Offer, Order, Purpose
from payments.domains.payments import PaymentIntent
from payments.domains.purchases.tables import KIND, Purchase, new_id
from payments.sync.apply import locked

TAKEN: Final = ("processing", "requires_capture", "succeeded")
"""Stripe's words for a payment after which the same order is another one."""


class Purchases:
    """The port's implementation; see `payments.domains.payables`."""

    kind = KIND

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        return str((await _find(tx, id, principal)).id)

    async def order(self, tx: AsyncConnection, order: Order, *, now: datetime) -> str:
        if order.trial_days is not None:
            raise Invalid("trial_days: a plan may have a trial; this is bought once")
        price = await _price(tx, order.product)
        money = Money(price.unit_amount * order.quantity, price.currency)
        if money.amount > MAXIMUM:
            raise Invalid(f"quantity: {order.quantity} cost more than can be charged at once")
        ensure_chargeable(*money)
        basis = _basis(price, order)
        await locked(tx, [f"purchases:{order.user}"])  # two tabs make one order
        if (open_ := await _unpaid(tx, basis)) is not None:
            return open_
        row = insert(Purchase).values(id=new_id(), email=order.email, created_at=now, **basis)
        return str((await tx.execute(row.returning(Purchase.id))).scalar_one())

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        row = await _find(tx, id, principal)
        if purpose != "full":
            raise Conflict("a purchase is paid at once: payment_type full, or none")
        if (await tx.execute(select(_taken(row.id)))).scalar_one():
            raise Conflict(f"purchase {row.id} is paid; order again for another one")
        price = Money(row.unit_amount * row.quantity, row.currency)
        return Offer(
            owner=row.user_id,
            email=row.email,
            purpose="full",
            money=price,
            due=price,
            discountable=True,
            description=row.name if row.quantity == 1 else f"{row.name}, {row.quantity} times",
            metadata={
                "user_id": row.user_id,
                "product_id": row.product,
                "quantity": str(row.quantity),
                "credit_amount": str(row.credits),
            },
        )

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        """Nothing of a purchase changes; its credits follow with the account, see `crediting`."""


async def _price(tx: AsyncConnection, named: str) -> Row[Any]:
    prices = await catalog.found(tx, named)
    if not prices:
        raise Invalid(
            f"product_id: nothing on sale is called {named!r}; send a price's id or lookup key, or "
            "a product's id, as GET /stripe/products has them"
        )
    price = prices[0]
    if len(prices) > 1 and price.id != price.default_price:
        known = ", ".join(row.lookup_key or row.id for row in prices)
        raise Invalid(f"product_id: {named!r} has several prices; send one of {known}")
    if price.type != "one_time":
        raise Invalid(f"product_id: {named!r} is a subscription, and not bought once")
    if not price.unit_amount:
        raise Invalid(f"product_id: {named!r} has no fixed price")
    return price


def _basis(price: Row[Any], order: Order) -> dict[str, Any]:
    facts = read_facts(price.facts)
    if facts.credits is None:
        raise Conflict(f"product {price.product} cannot be sold: at Stripe its {facts.problems[0]}")
    names = ("product", "name", "unit_amount", "currency")
    return {
        "user_id": order.user,
        "price": price.id,
        "quantity": order.quantity,
        "credits": facts.credits * order.quantity,
        "credit_type": facts.credit_type,
        **{name: getattr(price, name) for name in names},
    }


async def _unpaid(tx: AsyncConnection, basis: Mapping[str, Any]) -> str | None:
    """The same order, while nothing was paid for it."""
    same = (getattr(Purchase, name) == value for name, value in basis.items())
    query = select(Purchase.id).where(*same, ~_taken(Purchase.id))
    return (await tx.execute(query.order_by(Purchase.created_at.desc()))).scalars().first()


def _taken(id: Any) -> Any:
    """It was paid, or there was nothing to pay: a promotion code may leave nothing."""
    reference = f"{KIND}:{id}" if isinstance(id, str) else f"{KIND}:" + id
    paid = exists().where(PaymentIntent.reference == reference, PaymentIntent.status.in_(TAKEN))
    return or_(
        paid,
        exists().where(
            CheckoutSession.reference == reference,
            CheckoutSession.status == "complete",
            CheckoutSession.payment_status == "no_payment_required",
        ),
    )


async def _find(tx: AsyncConnection, id: str, principal: Principal) -> Row[Any]:
    row = (await tx.execute(select(Purchase).where(Purchase.id == id))).first()
    if row is None or not principal.sees(row.user_id):
        raise NotFound(f"there is no purchase {id!r}")
    return row
