"""Changing a subscription's plan: what it costs is shown first, then it is invoiced at once."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from payments.context import Context
from payments.core import money
from payments.core.errors import Conflict, Invalid
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.tables import PRODUCT, Product
from payments.domains.subscriptions.changing import Change
from payments.domains.subscriptions.plans import Plan, find_plan
from payments.domains.subscriptions.schemas import PlanPreview
from payments.domains.subscriptions.tables import read
from payments.sync import observe
from payments.sync.resources import StripeObject

PREVIEW_HOLDS: Final = timedelta(hours=1)
CHANGEABLE: Final = ("trialing", "active")


async def plan_for(ctx: Context, found: StripeObject, named: str) -> Plan:
    """The plan to change to, which is of the same group.

    Raises:
        Invalid: there is no such plan, or it is of another group.
    """
    async with ctx.db.transaction() as tx:
        plan = await find_plan(tx, ctx.settings.price_named(named))
    group = await _group(ctx, read(found)["items"][0]["product"])
    if group != plan.facts.group:
        raise Invalid(
            f"product_id: {named!r} is of the plan group {plan.facts.group!r}, and this "
            f"subscription of {group!r}; subscribe to it beside this one"
        )
    return plan


async def _group(ctx: Context, product: str) -> str:
    """The plan group of a product; Stripe is asked where its events are still on their way."""
    query = select(Product.metadata_).where(Product.id == product)
    async with ctx.db.transaction() as tx:
        known = (await tx.execute(query)).first()
    if known is not None:
        return read_facts(known.metadata).group
    return read_facts((await observe.refresh(ctx.sync, PRODUCT, product)).get("metadata")).group


def change_plan(
    found: StripeObject, plan: Plan, *, quantity: int | None, proration_date: int
) -> Change:
    """The new plan from now on, and an invoice of the difference. Where that is not paid, nothing
    changes.
    """
    if found["status"] not in CHANGEABLE:
        raise Conflict(
            f"subscription {found['id']} is {found['status']}: its plan can be changed while it is "
            "active"
        )
    params = {
        "items": [_item(found, plan, quantity)],
        "proration_behavior": "always_invoice",
        "proration_date": proration_date,
        "payment_behavior": "error_if_incomplete",
    }
    return Change("update", found["id"], params)


def _item(found: StripeObject, plan: Plan, quantity: int | None) -> dict[str, Any]:
    items = read(found)["items"]
    if len(items) != 1:
        raise Conflict(
            f"subscription {found['id']} has {len(items)} items; change it in Stripe's dashboard"
        )
    [item] = items
    wanted = {"price": plan.price, "quantity": quantity or item["quantity"] or 1}
    if {name: item[name] for name in wanted} == wanted:
        raise Conflict(f"subscription {found['id']} is on this plan already")
    return {"id": item["id"], **wanted}


def dated(ctx: Context, given: int | None) -> int:
    """The moment from which the difference is reckoned: the preview's, for an hour.

    Raises:
        Invalid: it is older, or lies in the future.
    """
    now = ctx.clock.now()
    if given is None:
        return int(now.timestamp())
    if not now - PREVIEW_HOLDS <= datetime.fromtimestamp(given, UTC) <= now + timedelta(minutes=1):
        raise Invalid("proration_date: this preview is out of date; ask for another one")
    return given


async def preview(ctx: Context, change: Change) -> PlanPreview:
    """What a change of plan would cost, as Stripe reckons it."""
    details = {
        name: change.params[name] for name in ("items", "proration_behavior", "proration_date")
    }
    params: Any = {"subscription": change.object, "subscription_details": details}
    answer = await ctx.stripe.call(lambda c: c.v1.invoices.create_preview_async(params))
    return _shown(change, answer.object)


def _shown(change: Change, invoice: Mapping[str, Any]) -> PlanPreview:
    [item] = change.params["items"]
    return PlanPreview(
        subscription=change.object,
        price=item["price"],
        quantity=item["quantity"],
        amount_cents=invoice["total"],
        amount=money.display(invoice["total"], invoice["currency"]),
        amount_due_cents=invoice["amount_due"],
        currency=invoice["currency"],
        proration_date=change.params["proration_date"],
    )
