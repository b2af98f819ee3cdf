"""Subscribing: a place in a plan group is reserved, and Stripe asked; one per user and group."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Row, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit, idempotency
from payments.core.errors import Conflict, InFlight, StripeRejected
from payments.core.idempotency import Repeatable
from payments.core.principal import Principal
from payments.domains.checkout import opening
from payments.domains.payables import APP
from payments.domains.subscriptions.following import root_of
from payments.domains.subscriptions.places import (
    begun_on_a_page,
    open_request,
    refuse_second,
    taken,
    trial_of,
)
from payments.domains.subscriptions.plans import Plan
from payments.domains.subscriptions.tables import (
    BEGUN,
    ENDED,
    KIND,
    SUBSCRIPTION,
    SubscriptionRequest,
    new_id,
)
from payments.settings import STALE_KEY
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Client, options
from payments.sync import observe, switches
from payments.sync.apply import locked

FORM: Final = "subscription"
LEASE: Final = timedelta(seconds=60)


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
        wanted = (FORM, self.plan.price, self.quantity, trial)
        return (row.form, row.price, row.quantity, row.trial_days) == wanted


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
        row = await open_request(tx, wish.user, wish.plan, now=now)
        same = row.stripe_id if row is not None and wish.is_for(row) else None
        await refuse_second(tx, wish.user, wish.plan, same=same)
        if row is not None:
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


async def _insert(tx: AsyncConnection, wish: Wish, customer: str, *, now: datetime) -> Row[Any]:
    id, trial = new_id(), wish.trial_days
    if trial is None:
        trial = await trial_of(tx, wish.user, wish.plan)
    added = insert(SubscriptionRequest).values(
        id=id, user_id=wish.user, plan_group=wish.plan.facts.group, price=wish.plan.price,
        quantity=wish.quantity, trial_days=trial, form=FORM,
        params=_params(id, wish, customer, trial=trial), requested_by=wish.who.user_id,
        reserved_at=now,
    )  # fmt: skip
    row = (await tx.execute(added.returning(SubscriptionRequest))).one()
    await audit.record(
        tx, wish.who, act="subscription.requested", subject=f"{KIND}:{id}", user_id=wish.user,
        price=wish.plan.price, quantity=wish.quantity, trial_days=trial,
    )  # fmt: skip
    return row


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
    if not await _is_open(ctx, row):
        await _end_unpaid(ctx, row, str(made["id"]))
        raise InFlight("another request has replaced this one", retry_after=1)
    return str(made["id"])


async def _is_open(ctx: Context, row: Row[Any]) -> bool:
    """Whether the row holds its place still: a creation that takes long may have given way."""
    query = select(SubscriptionRequest.id).where(
        SubscriptionRequest.id == row.id, SubscriptionRequest.closed_at.is_(None)
    )
    async with ctx.db.transaction() as tx:
        return (await tx.execute(query)).first() is not None


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
    if row.stripe_id is not None:
        await _end_unpaid(ctx, row, row.stripe_id)
    elif row.form != FORM:
        await _close_page(ctx, row)
    elif ctx.clock.now() - row.reserved_at < LEASE:
        raise InFlight("another plan is being subscribed to right now", retry_after=2)
    elif await _find(ctx, row) is None:
        await _close(ctx, row)


async def _end_unpaid(ctx: Context, row: Row[Any], id: str) -> None:
    found = await observe.refresh(ctx.sync, SUBSCRIPTION, id)
    if found["status"] in BEGUN:
        raise taken(id, row.plan_group)
    if found["status"] in ENDED:
        return
    key = options(f"{KIND}:{row.id}:give_way:{uuid4().hex}")
    try:
        await observe.perform(
            ctx.sync, SUBSCRIPTION, lambda c: c.v1.subscriptions.cancel_async(id, {}, key)
        )
    except (StripeRejected, StripeObjectMissing):
        # Paid or ended in between: what it is now decides, not what it was.
        if (await observe.refresh(ctx.sync, SUBSCRIPTION, id))["status"] not in ENDED:
            raise


async def _close_page(ctx: Context, row: Row[Any]) -> None:
    """Expire the Checkout page that holds the place; a page that was just paid keeps it."""
    reference = f"{KIND}:{row.id}"
    await opening.close_all(ctx, reference)
    async with ctx.db.transaction() as tx:
        await locked(tx, [reference])
        await opening.ensure_closed(tx, reference)
        if not await begun_on_a_page(tx, row.id):
            await tx.execute(_closing(row, ctx.clock.now()))


async def _close(ctx: Context, row: Row[Any]) -> None:
    async with ctx.db.transaction() as tx:
        await tx.execute(_closing(row, ctx.clock.now()))


def _closing(row: Row[Any], now: datetime) -> Update:
    return (
        update(SubscriptionRequest)
        .where(
            SubscriptionRequest.id == row.id,
            SubscriptionRequest.stripe_id.is_(None),
            SubscriptionRequest.closed_at.is_(None),
        )
        .values(closed_at=now)
    )
