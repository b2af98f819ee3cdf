"""Which Stripe customer a user is: Stripe's mirrored, the links ours."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.sync.resources import SCHEMA, Mirror, Resource, StripeObject


class Customer(Mirror):
    """Stripe's customer; e-mail and name only, the rest is Stripe's to keep."""

    __tablename__ = "customers"
    __table_args__ = (Index("ix_customers_created_at", "created_at"), {"schema": SCHEMA})

    email: Mapped[str | None]
    name: Mapped[str | None]


class CustomerLink(Base):
    """A customer that a user is, or was, at Stripe; `stripe_customer_id` is null until it is known.
    One that was deleted there, or linked anew, is replaced, and kept here for the payments it made.
    """

    __tablename__ = "customer_links"
    __table_args__ = (
        Index(
            "uq_customer_links_user_id",
            "user_id",
            unique=True,
            postgresql_where=text("replaced_at is null"),
        ),
        Index("ix_customer_links_history", "user_id"),
    )

    key: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    email: Mapped[str | None]
    stripe_customer_id: Mapped[str | None] = mapped_column(index=True)
    reserved_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]


def read(customer: StripeObject) -> dict[str, Any]:
    return {"email": customer.get("email"), "name": customer.get("name")}


CUSTOMER = Resource(
    name="customer",
    table=Customer,
    read=read,
    fetch=lambda c, id: c.v1.customers.retrieve_async(id),
    list=lambda c, params: c.v1.customers.list_async(params),
    events=("customer.created", "customer.updated", "customer.deleted"),
    deletable=True,
)


def users_customers(user_id: str) -> Any:
    """Subquery: every customer that a user is or was."""
    return select(CustomerLink.stripe_customer_id).where(CustomerLink.user_id == user_id)


async def of_address(tx: AsyncConnection, email: str) -> Sequence[Row[Any]]:
    """The customers of an e-mail address, in whatever case it is written: Stripe's word counts,
    and where Stripe knows none, the address that the link was made with.
    """
    address = func.lower(email)
    linked = select(CustomerLink.stripe_customer_id).where(
        func.lower(CustomerLink.email) == address
    )
    query = select(Customer).where(
        ~Customer.deleted,
        (func.lower(Customer.email) == address)
        | (Customer.email.is_(None) & Customer.id.in_(linked)),
    )
    return (await tx.execute(query.order_by(Customer.created_at, Customer.id))).all()


async def user_of(tx: AsyncConnection, customer: str) -> str | None:
    """Whose customer this is or was; None while nobody has said."""
    query = select(CustomerLink.user_id).where(CustomerLink.stripe_customer_id == customer)
    return (await tx.execute(query)).scalars().first()


async def current(tx: AsyncConnection, user_id: str) -> Row[Any] | None:
    """The user's link, locked until the transaction ends."""
    query = select(CustomerLink).where(
        CustomerLink.user_id == user_id, CustomerLink.replaced_at.is_(None)
    )
    return (await tx.execute(query.with_for_update())).first()


async def change(tx: AsyncConnection, key: UUID, /, **values: Any) -> None:
    await tx.execute(update(CustomerLink).where(CustomerLink.key == key).values(values))
