"""Products and prices, mirrored."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.money import Money
from payments.sync.resources import Mirror, Resource, StripeObject


class Product(Mirror):
    """What is sold; its metadata carries what the business attaches to it. All columns are null in
    the tombstone of one that was never seen alive.
    """

    __tablename__ = "products"

    name: Mapped[str | None]
    description: Mapped[str | None]
    active: Mapped[bool | None]
    default_price: Mapped[str | None]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata")


class Price(Mirror):
    """What it costs. Amount, currency and interval never change; a new price replaces an old."""

    __tablename__ = "prices"

    product: Mapped[str | None] = mapped_column(index=True)
    active: Mapped[bool | None]
    currency: Mapped[str | None]
    unit_amount: Mapped[int | None]
    lookup_key: Mapped[str | None] = mapped_column(index=True)
    type: Mapped[str | None]
    interval: Mapped[str | None]
    interval_count: Mapped[int | None]


def read_product(product: StripeObject) -> dict[str, Any]:
    return {
        "name": product["name"],
        "description": product.get("description"),
        "active": product["active"],
        "default_price": product.get("default_price"),
        "metadata": dict(product.get("metadata") or {}),
    }


def read_price(price: StripeObject) -> dict[str, Any]:
    recurring = price.get("recurring") or {}
    return {
        "product": price["product"],
        "active": price["active"],
        "currency": price["currency"],
        "unit_amount": price.get("unit_amount"),
        "lookup_key": price.get("lookup_key"),
        "type": price["type"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
    }


PRODUCT = Resource(
    name="product",
    table=Product,
    read=read_product,
    fetch=lambda c, id: c.v1.products.retrieve_async(id),
    list=lambda c, params: c.v1.products.list_async(params),
    events=("product.created", "product.updated", "product.deleted"),
    deletable=True,
)
PRICE = Resource(
    name="price",
    table=Price,
    read=read_price,
    fetch=lambda c, id: c.v1.prices.retrieve_async(id),
    list=lambda c, params: c.v1.prices.list_async(params),
    listings=({"active": True}, {"active": False}),
    events=("price.created", "price.updated", "price.deleted"),
    deletable=True,
)


_ON_SALE: Final = and_(
    Price.active.is_(True), ~Price.deleted, Product.active.is_(True), ~Product.deleted
)


async def prices(tx: AsyncConnection, prefix: str) -> dict[str, Money]:
    """One-time prices on sale by lookup key, of those whose key begins with `prefix`."""
    query = (
        select(Price.lookup_key, Price.unit_amount, Price.currency)
        .join(Product, Product.id == Price.product)
        .where(
            Price.lookup_key.startswith(prefix, autoescape=True),
            _ON_SALE,
            Price.type == "one_time",
            Price.unit_amount.is_not(None),
        )
    )
    return {row.lookup_key: Money(row.unit_amount, row.currency) for row in await tx.execute(query)}


async def held(tx: AsyncConnection, keys: Iterable[str]) -> dict[str, str]:
    """Ids of the prices on sale by lookup key, of those that hold one of `keys`."""
    query = select(Price.lookup_key, Price.id).join(Product, Product.id == Price.product)
    rows = await tx.execute(query.where(_ON_SALE, Price.lookup_key.in_(keys)))
    return {row.lookup_key: row.id for row in rows}


async def found(tx: AsyncConnection, named: str) -> Sequence[Row[Any]]:
    """What is on sale under a name: a price's id or lookup key, or a product's id, which may have
    several prices; its default price comes first.
    """
    query = (
        select(Price, Product.name, Product.metadata_.label("facts"), Product.default_price)
        .join(Product, Product.id == Price.product)
        .where(
            _ON_SALE,
            or_(Price.id == named, Price.lookup_key == named, Product.id == named),
        )
        .order_by((Price.id == Product.default_price).desc().nulls_last(), Price.id)
    )
    return (await tx.execute(query)).all()


async def recurs(tx: AsyncConnection, named: str) -> bool:
    """Whether what is on sale under a name is charged every period."""
    rows = await found(tx, named)
    return bool(rows) and rows[0].type == "recurring"
