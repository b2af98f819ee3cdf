"""The customer that a user is at Stripe, made once per user whatever races."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core.errors import InFlight
from payments.domains.customers.tables import (
    CUSTOMER,
    Customer,
    CustomerLink,
    change,
    current,
)
from payments.domains.payables import APP
from payments.settings import STALE_KEY
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Client, options
from payments.sync import observe

T = TypeVar("T")


async def ensure(ctx: Context, *, user_id: str, email: str | None) -> str:
    """The user's Stripe customer, created at the first need.

    Concurrent callers reserve one row, so they send Stripe the same key and get the same customer.

    Raises:
        Problem: Stripe could not be asked; the reservation stays and the next call resumes it.
    """
    async with ctx.db.transaction() as tx:
        link = await reserve(tx, user_id=user_id, email=email, now=ctx.clock.now())
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
    named = {"email": link.email} if link.email else {}
    mark = ("link", link.key.hex)
    return await observe.find(ctx.sync, CUSTOMER, mark=mark, since=link.reserved_at, **named)


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


async def reserve(
    tx: AsyncConnection, *, user_id: str, email: str | None, now: datetime
) -> Row[Any]:
    """The user's link, locked: the one there is, or a new one instead of none, or of one whose
    customer was deleted at Stripe.
    """
    fresh = insert(CustomerLink).on_conflict_do_nothing()
    values = {"user_id": user_id, "email": email, "reserved_at": now}
    await tx.execute(fresh.values(**values, key=uuid4()))
    link = await _now(tx, user_id)
    if await _is_deleted(tx, link):
        await change(tx, link.key, replaced_at=now)
        await tx.execute(fresh.values(**values, key=uuid4()))
    elif link.stripe_customer_id is None and link.reserved_at < now - STALE_KEY:
        await change(tx, link.key, key=uuid4(), reserved_at=now)
    return await _now(tx, user_id)


async def _now(tx: AsyncConnection, user_id: str) -> Row[Any]:
    # The first look may wait for a transaction that replaces the link; the second one sees what by.
    link = await current(tx, user_id) or await current(tx, user_id)
    if link is None:
        raise InFlight("the customer is being linked by another request", retry_after=1)
    return link


async def _is_deleted(tx: AsyncConnection, link: Row[Any]) -> bool:
    deleted = select(Customer.deleted).where(Customer.id == link.stripe_customer_id)
    return bool((await tx.execute(deleted)).scalar_one_or_none())


async def _renew(ctx: Context, key: UUID) -> None:
    """Reserve under another key: Stripe has answered this one with an error."""
    async with ctx.db.transaction() as tx:
        await change(tx, key, key=uuid4(), reserved_at=ctx.clock.now())


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
