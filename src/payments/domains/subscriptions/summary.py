"""What a user has now, in one answer: plan, period, entitlements, and what Stripe charges next."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import APIRouter
from sqlalchemy import select

from payments.context import Context, Ctx
from payments.core import errors, money
from payments.core.errors import NotFound
from payments.core.principal import Authenticated
from payments.core.schemas import ObjectId
from payments.domains.credits import balance
from payments.domains.customers import users_customers
from payments.domains.subscriptions.schemas import (
    NextInvoice,
    Period,
    SubscriptionOut,
    SubscriptionSummary,
    WhyMissing,
)
from payments.domains.subscriptions.showing import shown
from payments.domains.subscriptions.tables import ENDED, Subscription
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync.apply import timestamp

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 5
"""For what Stripe reckons. Whoever asks what he has is not to wait for what it will cost."""

router = APIRouter(prefix="/financial", tags=["financial"])


@router.get(
    "/subscriptions/{user_id}/summary",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def summarise(user_id: ObjectId, ctx: Ctx, who: Authenticated) -> SubscriptionSummary:
    """What a user is entitled to, and what his plan costs next, as Stripe reckons it now. While
    Stripe does not answer, `next_invoice` alone is missing.
    """
    if not who.sees(user_id):
        raise NotFound(f"there is no user {user_id!r}")
    living, credits = await _standing(ctx, user_id)
    entitling = [found for found in living if found.entitled]
    first = next(iter(entitling or living), None)
    features = {name for found in entitling for plan in found.plans for name in plan.features}
    next_invoice, missing = await _next_invoice(ctx, first)
    return SubscriptionSummary(
        user_id=user_id,
        entitled=bool(entitling),
        status=first.status if first else None,
        plan=next(iter(first.plans), None) if first else None,
        period=Period(start=first.current_period_start, end=first.current_period_end)
        if first
        else None,
        cancel_at_period_end=first is not None and first.cancel_at_period_end,
        entitlements=sorted(features),
        credits=credits,
        next_invoice=next_invoice,
        next_invoice_missing=missing,
        subscriptions=living,
    )


async def _standing(ctx: Context, user_id: str) -> tuple[list[SubscriptionOut], int]:
    """The subscriptions that have not ended, the newest first; and the balance of credits."""
    query = select(Subscription).where(
        Subscription.customer.in_(users_customers(user_id)),
        Subscription.status.not_in(ENDED),
        ~Subscription.deleted,
    )
    newest = query.order_by(Subscription.created_at.desc(), Subscription.id.desc())
    async with ctx.db.transaction() as tx:
        living = await shown(tx, (await tx.execute(newest)).all())
        return living, await balance(tx, user_id, now=ctx.clock.now())


async def _next_invoice(
    ctx: Context, found: SubscriptionOut | None
) -> tuple[NextInvoice | None, WhyMissing | None]:
    """What is charged next, or why nothing is said: what a plan gives needs no Stripe."""
    if found is None or not found.entitled or found.cancel_at_period_end:
        return None, "nothing_follows"
    params: Any = {"subscription": found.id}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await ctx.stripe.call(lambda c: c.v1.invoices.create_preview_async(params))
    except (errors.StripeRejected, StripeObjectMissing):
        return None, "nothing_follows"
    except (errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout, TimeoutError) as exc:
        log.warning("no next invoice", subscription=found.id, reason=type(exc).__name__)
        return None, "stripe_away"
    return _shown(answer.object), None


def _shown(invoice: Mapping[str, Any]) -> NextInvoice:
    amount, currency = invoice["amount_due"], invoice["currency"]
    return NextInvoice(
        amount_cents=amount,
        amount=money.display(amount, currency),
        currency=currency,
        at=timestamp(invoice.get("next_payment_attempt") or invoice.get("period_end")),
    )
