"""GET /financial/admin/dashboard."""

from fastapi import APIRouter

from payments.context import Ctx
from payments.core import errors
from payments.core.principal import Authenticated, ensure_admin
from payments.domains.analytics import End, Start, between, payments_of
from payments.domains.numbers.business import count_disputes, sum_credits, sum_revenue
from payments.domains.numbers.schemas import Dashboard
from payments.domains.numbers.subscriptions import count_subscriptions

router = APIRouter(prefix="/financial", tags=["financial"])


@router.get(
    "/admin/dashboard",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.Invalid, errors.StripeRejected,
        errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
    ),
)  # fmt: skip
async def read_dashboard(
    ctx: Ctx, who: Authenticated, start: Start = None, end: End = None
) -> Dashboard:
    """Revenue, payments, subscriptions, plans, credits and disputes, by default of the last 30
    days. For admins.
    """
    ensure_admin(who, "the dashboard needs an admin")
    now = ctx.clock.now()
    window = between(start, end, now=now, zone=ctx.settings.zone)
    payments = await payments_of(ctx, *window)
    async with ctx.db.transaction() as tx:
        together, plans = await count_subscriptions(tx, *window, now)
        return Dashboard(
            start=window[0],
            end=window[1],
            as_of=now,
            revenue=await sum_revenue(tx, *window),
            payments=payments,
            subscriptions=together,
            plans=plans,
            credits=await sum_credits(tx, *window, now),
            disputes=await count_disputes(tx, *window),
        )
