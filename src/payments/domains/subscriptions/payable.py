"""Plans as a payable: subscribed to on a Checkout page, at the catalogue's price."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict, InFlight, Invalid, NotFound
from payments.core.money import MAXIMUM, Money
from payments.core.principal import Principal
from payments.domains.catalog.tables import Price, Product
from payments.domains.payables import Offer, Order, Purpose, Recurring
from payments.domains.subscriptions.following import root_of
from payments.domains.subscriptions.places import (
    begun_on_a_page,
    open_request,
    refuse_second,
    taken,
    trial_of,
)
from payments.domains.subscriptions.plans import Plan, find_plan
from payments.domains.subscriptions.subscribing import LEASE
from payments.domains.subscriptions.tables import KIND, SubscriptionRequest, new_id
from payments.settings import STALE_KEY
from payments.sync import switches
from payments.sync.apply import locked

FORM: Final = "checkout_session"


class Plans:
    """The port's implementation; see `payments.domains.payables`."""

    kind = KIND

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        return str((await _find(tx, id, principal)).id)

    async def order(self, tx: AsyncConnection, order: Order, *, now: datetime) -> str:
        plan = await find_plan(tx, order.product)
        await locked(tx, [root_of(order.user)])  # two tabs make one order
        await switches.ensure_current(tx, root_of(order.user))
        await refuse_second(tx, order.user, plan)
        row = await open_request(tx, order.user, plan, now=now)
        if row is not None and await _gave_up(tx, row, now=now):
            row = None
        trial = order.trial_days
        if trial is None:
            trial = await trial_of(tx, order.user, plan)
        wanted = {"price": plan.price, "quantity": order.quantity, "trial_days": trial}
        if row is None:
            added = insert(SubscriptionRequest).values(
                id=new_id(), user_id=order.user, plan_group=plan.facts.group, form=FORM,
                requested_by=order.user, reserved_at=now, **wanted,
            )  # fmt: skip
            return str((await tx.execute(added.returning(SubscriptionRequest.id))).scalar_one())
        _refuse_other_form(row, plan, now=now)
        changed = update(SubscriptionRequest).where(SubscriptionRequest.id == row.id)
        await tx.execute(changed.values(wanted))
        return str(row.id)

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        row = await _find(tx, id, principal)
        if purpose != "full":
            raise Conflict("a plan is paid as it is priced: payment_type full, or none")
        await _refuse_begun(tx, row)
        query = (
            select(*Price.__table__.columns, Product.name)
            .join(Product, Product.id == Price.product)
            .where(Price.id == row.price)
        )
        price = (await tx.execute(query)).one()
        amount = (price.unit_amount or 0) * row.quantity
        if not 0 < amount <= MAXIMUM:
            raise Invalid("product_id: a plan without a fixed price has no page here")
        money = Money(amount, price.currency)
        return Offer(
            owner=row.user_id,
            purpose="full",
            money=money,
            due=money,
            description=price.name,
            metadata={"user_id": row.user_id, "product_id": price.product},
            discountable=True,
            recurring=Recurring(row.price, row.quantity, row.trial_days),
        )

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        """Nothing: the subscription itself is followed."""


async def _gave_up(tx: AsyncConnection, row: Row[Any], *, now: datetime) -> bool:
    """Close a request for Elements that Stripe never told of: it would have by now, and what was
    not paid has ended there.
    """
    lost = row.form != FORM and row.stripe_id is None and row.reserved_at <= now - STALE_KEY
    if lost:
        closing = update(SubscriptionRequest).where(SubscriptionRequest.id == row.id)
        await tx.execute(closing.values(closed_at=now))
    return bool(lost)


def _refuse_other_form(row: Row[Any], plan: Plan, *, now: datetime) -> None:
    """A place that waits for Elements to pay; Stripe cannot be asked here to end that."""
    if row.stripe_id is not None:
        raise taken(row.stripe_id, plan.facts.group)
    if row.form == FORM:
        return
    if row.reserved_at > now - LEASE:
        raise InFlight("a plan is being subscribed to right now", retry_after=2)
    raise Conflict(
        "a plan was subscribed to by POST /stripe/create-subscription, and its outcome is not "
        "known; send that again"
    )


async def _refuse_begun(tx: AsyncConnection, row: Row[Any]) -> None:
    if row.closed_at is not None:
        raise Conflict(f"what was ordered as {row.id} has ended; order again")
    if row.stripe_id is not None:
        raise taken(row.stripe_id, row.plan_group)
    if await begun_on_a_page(tx, row.id):
        raise InFlight("the page was completed a moment ago; look at it again", retry_after=2)


async def _find(tx: AsyncConnection, id: str, principal: Principal) -> Row[Any]:
    query = select(SubscriptionRequest).where(SubscriptionRequest.id == id)
    row = (await tx.execute(query)).first()
    if row is None or not principal.sees(row.user_id):
        raise NotFound(f"there is no order {id!r}")
    return row
