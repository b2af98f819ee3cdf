"""Subscribing: a place in a plan group is reserved, and Stripe asked; one per user and group."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit, idempotency
from payments.core.errors import Conflict, InFlight, StripeRejected
from payments.core.idempotency import Repeatable
from payments.core.principal import Principal
from payments.domains.payables import APP
from payments.domains.subscriptions.following import BEGUN, of_users, root_of
from payments.domains.subscriptions.plans import Plan
from payments.domains.subscriptions.tables import (
    ENDED,
    KIND,
    SUBSCRIPTION,
    SubscriptionRequest,
    new_id,
)
from payments.settings import STALE_KEY
from payments.stripe_api.service import Client, options
from payments.sync import observe, switches
from payments.sync.apply import locked

LEASE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to subscribe to. Without `trial_days` the plan's own are given, once."""

    plan: Plan
    quantity: int
    trial_days: int | None
    user: str
    who: Principal
    key: Repeatable | None

    def is_for(self, row: Row[Any]) -> bool:
        """Whether a request asks for the same."""
        trial = row.trial_days if self.trial_days is None else self.trial_days
        wanted = (self.plan.price, self.quantity, trial)
        return (row.price, row.quantity, row.trial_days) == wanted


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription at Stripe; `again` when an earlier request had made it."""

    id: str
    again: bool


async def subscribe(ctx: Context, wish: Wish, customer: str) -> Subscribed:
    """Make a subscription, or return the one that the same request has made; another one that was
    never paid gives way.

    Raises:
        Conflict: the user has a plan of this group; it is named.
        InFlight: another request is making one right now.
        Problem: Stripe's errors; where the outcome is unknown, the next call resumes the row.
    """
    async with idempotency.held(ctx.db, wish.key):
        for _ in range(5):
            row, new = await _reserve(ctx, wish, customer)
            if not wish.is_for(row) and not new:
                await _give_way(ctx, row)
            elif (id := await _realise(ctx, row)) is not None:
                return Subscribed(id, again=not new)
    raise InFlight("this plan is being changed right now; look at it again", retry_after=2)


async def _reserve(ctx: Context, wish: Wish, customer: str) -> tuple[Row[Any], bool]:
    """The request that holds the place, and whether it is this one's own."""
    now = ctx.clock.now()
    async with ctx.db.transaction() as tx:
        await locked(tx, [root_of(wish.user)])
        earlier = await idempotency.claim(tx, wish.key, now=now)
        if earlier and (row := await _made_before(tx, earlier)) is not None:
            return row, True
        await switches.ensure_current(tx, root_of(wish.user))
        row = await _open(tx, wish)
        await _refuse_second(tx, wish, row)
        if row is not None:
            if wish.is_for(row):
                await idempotency.bind(tx, wish.key, row.id)
            return row, False
        row = await _insert(tx, wish, customer, now=now)
        await idempotency.bind(tx, wish.key, row.id)
        return row, True


async def _made_before(tx: AsyncConnection, id: str) -> Row[Any] | None:
    """What a key has made; None where nothing came of it, so that it may make something now."""
    row = (await tx.execute(select(SubscriptionRequest).where(SubscriptionRequest.id == id))).one()
    if row.closed_at is None:
        return row
    if row.stripe_id is None:
        return None
    raise Conflict(
        f"what this Idempotency-Key made ({row.stripe_id}) has ended; send a new key to subscribe "
        "again",
        subscription=row.stripe_id,
    )


async def _open(tx: AsyncConnection, wish: Wish) -> Row[Any] | None:
    query = select(SubscriptionRequest).where(
        SubscriptionRequest.user_id == wish.user,
        SubscriptionRequest.plan_group == wish.plan.promise.group,
        SubscriptionRequest.closed_at.is_(None),
    )
    return (await tx.execute(query)).first()


async def _refuse_second(tx: AsyncConnection, wish: Wish, row: Row[Any] | None) -> None:
    """There is one plan of a group, wherever it was made. The same request again is another
    matter: it may be the customer who comes back to its form.
    """
    group = wish.plan.promise.group
    for found in await of_users(tx, [wish.user]):
        same = row is not None and found.id == row.stripe_id and wish.is_for(row)
        if found.plan_group == group and found.status in BEGUN and not same:
            raise taken(found.id, group)


def taken(subscription: str, group: str) -> Conflict:
    return Conflict(
        f"there is a plan of the group {group!r} already ({subscription}); change that one, or "
        "cancel it first",
        subscription=subscription,
    )


async def _insert(tx: AsyncConnection, wish: Wish, customer: str, *, now: datetime) -> Row[Any]:
    id, trial = new_id(), await _trial(tx, wish)
    added = insert(SubscriptionRequest).values(
        id=id, user_id=wish.user, plan_group=wish.plan.promise.group, price=wish.plan.price,
        quantity=wish.quantity, trial_days=trial, form="subscription",
        params=_params(id, wish, customer, trial=trial), requested_by=wish.who.user_id,
        reserved_at=now,
    )  # fmt: skip
    row = (await tx.execute(added.returning(SubscriptionRequest))).one()
    await audit.record(
        tx, wish.who, act="subscription.requested", subject=f"{KIND}:{id}", user_id=wish.user,
        price=wish.plan.price, quantity=wish.quantity, trial_days=trial,
    )  # fmt: skip
    return row


async def _trial(tx: AsyncConnection, wish: Wish) -> int:
    if wish.trial_days is not None:
        return wish.trial_days
    group, found = wish.plan.promise.group, await of_users(tx, [wish.user])
    had = any(row.plan_group == group and not row.status.startswith("incomplete") for row in found)
    return 0 if had else wish.plan.promise.trial_days


def _params(id: str, wish: Wish, customer: str, *, trial: int) -> dict[str, Any]:
    params: dict[str, Any] = {
        "customer": customer,
        "items": [{"price": wish.plan.price, "quantity": wish.quantity}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": {"app": APP, "reference": f"{KIND}:{id}", "user_id": wish.user},
    }
    if trial:
        params["trial_period_days"] = trial
        params["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
    return params


async def _realise(ctx: Context, row: Row[Any]) -> str | None:
    """The row's subscription, made now if it is not there yet; None if that has ended."""
    if row.stripe_id is not None:
        found = await observe.refresh(ctx.sync, SUBSCRIPTION, row.stripe_id)
        return None if found["status"] in ENDED else str(row.stripe_id)
    if row.reserved_at <= ctx.clock.now() - STALE_KEY:
        await _give_way(ctx, row)
        return None
    made = await observe.create(
        ctx.sync,
        SUBSCRIPTION,
        lambda c: _create(c, row),
        left=lambda: _find(ctx, row),
        over=lambda: _close(ctx, row),
    )
    return str(made["id"])


async def _create(client: Client, row: Row[Any]) -> Any:
    return await client.v1.subscriptions.create_async(row.params, options(f"{KIND}:{row.id}"))


async def _find(ctx: Context, row: Row[Any]) -> dict[str, Any] | None:
    """What a creation of unknown outcome has left at Stripe; once seen, it is linked."""
    return await observe.find(
        ctx.sync,
        SUBSCRIPTION,
        mark=("reference", f"{KIND}:{row.id}"),
        since=row.reserved_at,
        customer=row.params["customer"],
        status="all",
    )


async def _give_way(ctx: Context, row: Row[Any]) -> None:
    """Make sure that a request for another plan can no longer be paid, at Stripe first."""
    if row.stripe_id is None:
        age = (ctx.clock.now() - row.reserved_at).total_seconds()
        if age < LEASE_SECONDS:
            raise InFlight("another plan is being subscribed to right now", retry_after=2)
        if await _find(ctx, row) is None:
            await _close(ctx, row)
        return
    found = await observe.refresh(ctx.sync, SUBSCRIPTION, row.stripe_id)
    if found["status"] in BEGUN:
        raise taken(row.stripe_id, row.plan_group)
    if found["status"] in ENDED:
        return
    key = options(f"{KIND}:{row.id}:give_way:{uuid4().hex}")
    try:
        await observe.perform(
            ctx.sync,
            SUBSCRIPTION,
            lambda c: c.v1.subscriptions.cancel_async(row.stripe_id, {}, key),
        )
    except StripeRejected:
        # Paid or ended in between: what it is now decides, not what it was.
        if (await observe.refresh(ctx.sync, SUBSCRIPTION, row.stripe_id))["status"] not in ENDED:
            raise


async def _close(ctx: Context, row: Row[Any]) -> None:
    async with ctx.db.transaction() as tx:
        await tx.execute(
            update(SubscriptionRequest)
            .where(
                SubscriptionRequest.id == row.id,
                SubscriptionRequest.stripe_id.is_(None),
                SubscriptionRequest.closed_at.is_(None),
            )
            .values(closed_at=ctx.clock.now())
        )
