"""Customers: which Stripe customer a user of ours is, made once per user whatever races."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Index, Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.context import Context
from payments.core.db import Base
from payments.core.errors import InFlight
from payments.domains.payables import APP
from payments.settings import STALE_KEY
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Client, options
from payments.sync import observe
from payments.sync.resources import Mirror, Resource, StripeObject

T = TypeVar("T")


class Customer(Mirror):
    """Stripe's customer; e-mail and name only, the rest is Stripe's to keep."""

    __tablename__ = "customers"

    email: Mapped[str | None]
    name: Mapped[str | None]


class CustomerLink(Base):
    """A customer that a user is, or was, at Stripe; `stripe_customer_id` is null until it is known.
    One that was deleted there is replaced, and kept here for the payments it has made.
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
    events=("customer.created", "customer.updated", "customer.deleted"),
    deletable=True,
)
RESOURCES = (CUSTOMER,)


async def ensure(ctx: Context, *, user_id: str, email: str | None) -> str:
    """The user's Stripe customer, created at the first need.

    Concurrent callers reserve one row, so they send Stripe the same key and get the same customer.

    Raises:
        Problem: Stripe could not be asked; the reservation stays and the next call resumes it.
    """
    link = await _reserve(ctx, user_id=user_id, email=email)
    if link.stripe_customer_id is not None:
        return str(link.stripe_customer_id)
    customer = await observe.create(
        ctx.sync,
        CUSTOMER,
        lambda c: _create(c, link),
        left=lambda: _find(ctx, link),
        over=lambda: _renew(ctx, link.key),
    )
    return await _settle_link(ctx, link.key, str(customer["id"]))


def _create(client: Client, link: Row[Any]) -> Awaitable[Any]:
    params: Any = {"metadata": {"app": APP, "user_id": link.user_id, "link": link.key.hex}}
    if link.email:
        params["email"] = link.email
    return client.v1.customers.create_async(params, options(f"customer:{link.key.hex}"))


async def _find(ctx: Context, link: Row[Any]) -> dict[str, Any] | None:
    def pages(client: Client, params: Any) -> Awaitable[Any]:
        if link.email:
            params = {**params, "email": link.email}
        return client.v1.customers.list_async(params)

    mark = ("link", link.key.hex)
    return await observe.find(ctx.sync, CUSTOMER, pages, mark=mark, since=link.reserved_at)


async def with_customer(
    ctx: Context,
    work: Callable[[str], Awaitable[T]],
    *,
    user_id: str,
    email: str | None,
) -> T:
    """Run `work` with the user's customer; once more with a new one, if Stripe says that this one
    has been deleted there.
    """
    customer = await ensure(ctx, user_id=user_id, email=email)
    try:
        return await work(customer)
    except StripeObjectMissing:
        if not (await observe.refresh(ctx.sync, CUSTOMER, customer)).get("deleted"):
            raise
    return await work(await ensure(ctx, user_id=user_id, email=email))


async def _reserve(ctx: Context, *, user_id: str, email: str | None) -> Row[Any]:
    now = ctx.clock.now()
    fresh = insert(CustomerLink).on_conflict_do_nothing()
    values = {"user_id": user_id, "email": email, "reserved_at": now}
    async with ctx.db.transaction() as tx:
        await tx.execute(fresh.values(**values, key=uuid4()))
        link = await _current(tx, user_id)
        if await _is_deleted(tx, link):
            await _change(tx, link.key, replaced_at=now)
            await tx.execute(fresh.values(**values, key=uuid4()))
        elif link.stripe_customer_id is None and link.reserved_at < now - STALE_KEY:
            await _change(tx, link.key, key=uuid4(), reserved_at=now)
        return await _current(tx, user_id)


async def _current(tx: AsyncConnection, user_id: str) -> Row[Any]:
    query = select(CustomerLink).where(
        CustomerLink.user_id == user_id, CustomerLink.replaced_at.is_(None)
    )
    return (await tx.execute(query.with_for_update())).one()


async def _change(tx: AsyncConnection, key: UUID, /, **values: Any) -> None:
    await tx.execute(update(CustomerLink).where(CustomerLink.key == key).values(values))


async def _is_deleted(tx: AsyncConnection, link: Row[Any]) -> bool:
    deleted = select(Customer.deleted).where(Customer.id == link.stripe_customer_id)
    return bool((await tx.execute(deleted)).scalar_one_or_none())


async def _renew(ctx: Context, key: UUID) -> None:
    """Reserve under another key: Stripe has answered this one with an error."""
    async with ctx.db.transaction() as tx:
        await _change(tx, key, key=uuid4(), reserved_at=ctx.clock.now())


async def _settle_link(ctx: Context, key: UUID, customer: str) -> str:
    async with ctx.db.transaction() as tx:
        linked = await tx.execute(
            update(CustomerLink)
            .where(CustomerLink.key == key, CustomerLink.replaced_at.is_(None))
            .values(stripe_customer_id=customer)
            .returning(CustomerLink.user_id)
        )
        if linked.first() is None:
            raise InFlight("the customer is being made by another request", retry_after=1)
    return customer


def users_customers(user_id: str) -> Any:
    """Subquery: every customer that a user is or was."""
    return select(CustomerLink.stripe_customer_id).where(CustomerLink.user_id == user_id)
