"""Changing a subscription: written down first, then asked of Stripe under the row's own key."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit, errors, idempotency
from payments.core.errors import Conflict, NotFound
from payments.core.idempotency import Repeatable
from payments.core.principal import Principal
from payments.domains.customers import users_customers
from payments.domains.invoices import INVOICE
from payments.domains.subscriptions.tables import (
    ENDED,
    SUBSCRIPTION,
    Subscription,
    SubscriptionChange,
    read,
)
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Client, options
from payments.sync import observe
from payments.sync.apply import locked
from payments.sync.resources import Resource, StripeObject

PAUSABLE: Final = ("trialing", "active", "past_due")
OVERDUE: Final = ("past_due", "unpaid", "incomplete", "paused")


@dataclass(frozen=True, slots=True)
class Change:
    """One call to Stripe, as it is written down: what is done, to which object, with what."""

    act: str
    object: str
    params: Any

    def is_done(self, found: StripeObject) -> bool:
        """Whether the subscription is now as this wants it."""
        if self.act == "update":
            return all(_says(found, name, value) for name, value in self.params.items())
        return DONE[self.act](found["status"])


DONE: Final[Mapping[str, Callable[[str], bool]]] = {
    "cancel": lambda status: status == "canceled",
    "pause": lambda status: status == "paused",
    "resume": lambda status: status != "paused",
    "pay": lambda status: status not in OVERDUE,
}


def _says(found: StripeObject, name: str, value: Any) -> bool:
    if name == "items":
        items = {item["id"]: item for item in read(found)["items"]}
        return all(items.get(item["id"], {}).items() >= item.items() for item in value)
    return name in HOW or (found.get(name) or "") == (value or "")


HOW: Final = ("proration_behavior", "proration_date", "payment_behavior")
"""Parameters of an update that say how it is carried out, and not what is to be."""

Decide = Callable[[StripeObject], Change]
"""Says from a subscription as it is now what is to be done; it may refuse."""

Call = Callable[[Client, Change, Any], Awaitable[Any]]

CALLS: Final[dict[str, tuple[Resource, Call]]] = {
    "cancel": (
        SUBSCRIPTION,
        lambda c, x, o: c.v1.subscriptions.cancel_async(x.object, x.params, o),
    ),
    "update": (
        SUBSCRIPTION,
        lambda c, x, o: c.v1.subscriptions.update_async(x.object, x.params, o),
    ),
    "pause": (SUBSCRIPTION, lambda c, x, o: c.v1.subscriptions.pause_async(x.object, x.params, o)),
    "resume": (
        SUBSCRIPTION,
        lambda c, x, o: c.v1.subscriptions.resume_async(x.object, x.params, o),
    ),
    "pay": (INVOICE, lambda c, x, o: c.v1.invoices.pay_async(x.object, x.params, o)),
}


async def known(ctx: Context, id: str, who: Principal) -> dict[str, Any]:
    """A subscription as Stripe has it now.

    Raises:
        NotFound: there is none, or this principal may not see it.
    """
    missing = NotFound(f"there is no subscription {id!r}")
    if not id.startswith("sub_"):
        raise missing
    if await _is_others(ctx, id, who):
        raise missing
    try:
        found = await observe.refresh(ctx.sync, SUBSCRIPTION, id)
    except (StripeObjectMissing, errors.StripeRejected) as exc:
        raise missing from exc
    if await _is_others(ctx, id, who):  # its event was on its way
        raise missing
    return found


async def _is_others(ctx: Context, id: str, who: Principal) -> bool:
    """Whether it is mirrored, and not this caller's to see."""
    seen = visible(who).with_only_columns(Subscription.id)
    query = select(Subscription.id).where(Subscription.id == id, Subscription.id.not_in(seen))
    async with ctx.db.transaction() as tx:
        return (await tx.execute(query)).first() is not None


def visible(who: Principal) -> Select[Any]:
    """The subscriptions that a caller may see: a user his own, service and admin all."""
    query = select(Subscription).where(~Subscription.deleted)
    if who.privileged:
        return query
    return query.where(Subscription.customer.in_(users_customers(who.user_id)))


async def change(
    ctx: Context, id: str, decide: Decide, *, who: Principal, key: Repeatable | None
) -> None:
    """Carry out what `decide` says. A repeated key carries out the same once more, which changes
    nothing at Stripe.

    Raises:
        NotFound: there is no such subscription, or this principal may not see it.
        Conflict: its state does not allow this.
        Problem: Stripe refused, or a card was declined; nothing but that was changed.
    """
    found = await known(ctx, id, who)
    async with idempotency.held(ctx.db, key):
        async with ctx.db.transaction() as tx:
            await locked(tx, [f"{SUBSCRIPTION.name}:{id}"])
            row = await _write(tx, ctx, id, partial(decide, found), who=who, key=key)
        await _carry_out(ctx, row, key)
    await observe.refresh(ctx.sync, SUBSCRIPTION, id)


async def _carry_out(ctx: Context, row: Row[Any], key: Repeatable | None) -> None:
    wanted = Change(row.act, row.params["object"], row.params["params"])
    resource, call = CALLS[wanted.act]
    named = options(f"subscription_change:{row.id}")
    try:
        await observe.perform(ctx.sync, resource, lambda c: call(c, wanted, named))
    except (errors.StripeFailed, errors.StripeRejected, StripeObjectMissing) as exc:
        # It may have been done by this call in spite of the error, or by another one meanwhile.
        if not exc.answered:
            raise
        if wanted.is_done(await observe.refresh(ctx.sync, SUBSCRIPTION, row.subscription)):
            return
        if isinstance(exc, errors.StripeFailed):
            # Stripe would replay its error to the same key for a day: the next try has another.
            await idempotency.forget(ctx.db, key)
        raise


async def _write(
    tx: AsyncConnection,
    ctx: Context,
    id: str,
    decide: Callable[[], Change],
    *,
    who: Principal,
    key: Repeatable | None,
) -> Row[Any]:
    now = ctx.clock.now()
    if (earlier := await idempotency.claim(tx, key, now=now)) is not None:
        query = select(SubscriptionChange).where(SubscriptionChange.id == UUID(earlier))
        return (await tx.execute(query)).one()
    wanted = decide()
    added = insert(SubscriptionChange).values(
        id=uuid4(), subscription=id, act=wanted.act, requested_by=who.user_id, requested_at=now,
        params={"object": wanted.object, "params": wanted.params},
    )  # fmt: skip
    row = (await tx.execute(added.returning(SubscriptionChange))).one()
    await idempotency.bind(tx, key, str(row.id))
    await audit.record(
        tx, who, act=f"subscription.{wanted.act}", subject=id, change=str(row.id),
        object=wanted.object, params=wanted.params,
    )  # fmt: skip
    return row


# -- what may be done when


def cancel(found: StripeObject, *, now: bool) -> Change:
    """At the end of what is paid for; at once if asked to, or if nothing has been paid yet."""
    _refuse_ended(found)
    if now or found["status"] == "incomplete":
        return Change("cancel", found["id"], {})
    return Change("update", found["id"], {"cancel_at_period_end": True})


def resume(found: StripeObject) -> Change:
    """Take back what ends or stops it. A paused one begins a new period once that is paid."""
    _refuse_ended(found)
    if found["status"] == "paused":
        params = {
            "billing_cycle_anchor": {"type": "now"},
            "payment_behavior": "resume_on_payment_success",
        }
        return Change("resume", found["id"], params)
    undone: dict[str, Any] = {}
    if found.get("cancel_at_period_end"):
        undone["cancel_at_period_end"] = False
    elif found.get("cancel_at"):
        undone["cancel_at"] = ""
    if found.get("pause_collection"):
        undone["pause_collection"] = ""
    if not undone:
        raise Conflict(f"subscription {found['id']} is {found['status']}: nothing is to be resumed")
    return Change("update", found["id"], undone)


def pause(found: StripeObject) -> Change:
    """It gives nothing and costs nothing until it is resumed; what was paid and not used is
    credited on the next invoice.
    """
    _refuse_ended(found)
    if found["status"] not in PAUSABLE:
        raise Conflict(f"subscription {found['id']} is {found['status']} and cannot be paused")
    return Change("pause", found["id"], {"type": "subscription"})


def pay(found: StripeObject) -> Change:
    """Try once more to collect the latest invoice."""
    _refuse_ended(found)
    if found["status"] not in OVERDUE:
        raise Conflict(f"subscription {found['id']} is {found['status']}: nothing is overdue")
    if not found.get("latest_invoice"):
        raise Conflict(f"subscription {found['id']} has no invoice to be paid")
    return Change("pay", str(found["latest_invoice"]), {})


def _refuse_ended(found: StripeObject) -> None:
    if found["status"] in ENDED:
        raise Conflict(f"subscription {found['id']} has ended; subscribe again")
