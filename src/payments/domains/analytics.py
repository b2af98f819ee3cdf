"""Basic figures for admins: Stripe's balance transactions, and how payments ended here."""

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy import text

from payments.context import Context, Ctx
from payments.core import errors
from payments.core.errors import Invalid
from payments.core.principal import Authenticated, ensure_admin
from payments.core.schemas import END, EPOCH, Moment
from payments.stripe_api import dashboard
from payments.stripe_api.analytics import PaymentAnalytics, Tally

router = APIRouter(prefix="/stripe/analytics", tags=["analytics"])

DAYS: Final = 30
MAX_DAYS: Final = 370
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def _only_a_day(value: Any) -> Any:
    """Pydantic would take midnight without a zone for a day."""
    if isinstance(value, str) and not DAY.fullmatch(value):
        raise ValueError("send a day as 2027-06-12, a time with its zone")
    return value


Day = Annotated[date, BeforeValidator(_only_a_day), Field(ge=EPOCH.date(), lt=END.date())]
At = Annotated[Moment | Day | None, Field(union_mode="left_to_right")]
Start = Annotated[
    At, Query(description="ISO 8601 with a zone, Unix seconds, or a day; 30 days before the end")
]
End = Annotated[At, Query(description="the same; a day is included to its end; now when left out")]


class Outcomes(BaseModel):
    """How the payments ended that were begun in this time. A rate is null where it divides by
    nothing.
    """

    succeeded: int
    failed: int = Field(description="declined last, and still payable")
    canceled: int
    open: int
    refunded: int = Field(description="of those that succeeded, in full or in part")
    disputed: int
    success_rate: float | None = Field(description="of those that succeeded or failed")
    failure_rate: float | None
    refund_rate: float | None = Field(description="of those that succeeded")
    dispute_rate: float | None = Field(description="of those that succeeded")


class RefundPattern(Tally):
    """Why money went back."""

    reason: str | None = Field(examples=["requested_by_customer"])
    status: str | None = Field(examples=["succeeded"])
    currency: str = Field(examples=["usd"])


class Links(BaseModel):
    """Stripe's own pages: revenue, cohorts, forecasts, exports, customers."""

    analytics: str
    reports: str
    customers: str


class PaymentAnalyticsOut(PaymentAnalytics):
    """What a window of time brought. Balance transactions are counted when the money moved,
    outcomes when the payment was begun.
    """

    outcomes: Outcomes
    refund_patterns: list[RefundPattern]
    links: Links


@router.get(
    "/payments",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.Invalid, errors.StripeRejected,
        errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
    ),
)  # fmt: skip
async def read_payment_analytics(
    ctx: Ctx, who: Authenticated, start: Start = None, end: End = None
) -> PaymentAnalyticsOut:
    """What came in, what it cost and what went back, by default in the last 30 days. For admins."""
    ensure_admin(who, "analytics need an admin")
    window = between(start, end, now=ctx.clock.now(), zone=ctx.settings.zone)
    return await payments_of(ctx, *window)


async def payments_of(ctx: Context, start: datetime, end: datetime) -> PaymentAnalyticsOut:
    """What a window brought, as Stripe's balance transactions and the mirrors have it."""
    found = await ctx.stripe.get_payment_analytics(start, end)
    outcomes, patterns = await _mirrored(ctx, start, end)
    return PaymentAnalyticsOut(
        **dict(found),
        outcomes=outcomes,
        refund_patterns=patterns,
        links=Links(
            **{name: dashboard.page(name, live=ctx.settings.live) for name in Links.model_fields}
        ),
    )


def between(
    start: datetime | date | None, end: datetime | date | None, *, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """The window asked for. Days are days of the zone, the last one to its end; left out, it is
    the 30 days before today, and today.

    Raises:
        Invalid: it ends before it begins, or is longer than a year.
    """
    until = _moment(end, zone, days=1) if end else now
    since = _moment(start or until.astimezone(zone).date() - timedelta(DAYS), zone)
    if since >= until:
        raise Invalid(f"start: {since.isoformat()} is not before the end, {until.isoformat()}")
    if until - since > timedelta(MAX_DAYS):
        raise Invalid(f"start: the window is longer than {MAX_DAYS} days; ask for it in parts")
    return since, until


def _moment(at: datetime | date, zone: ZoneInfo, *, days: int = 0) -> datetime:
    if isinstance(at, datetime):
        return at
    return datetime.combine(at + timedelta(days), time.min, zone)


_OUTCOMES: Final = text(
    """
    select count(*) filter (where stripe_status = 'succeeded') as succeeded,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where stripe_status = 'canceled') as canceled,
           count(*) filter (where stripe_status not in ('succeeded', 'canceled')
                              and status <> 'failed') as open,
           count(*) filter (where refunded_cents > 0) as refunded,
           count(*) filter (where disputed) as disputed
    from payments
    where provider = 'stripe' and created_at >= :start and created_at < :end
    """
)
_PATTERNS: Final = text(
    """
    select reason, status, currency, count(*) as count, sum(amount)::bigint as amount
    from stripe.refunds
    where created_at >= :start and created_at < :end
    group by reason, status, currency
    order by count(*) desc, reason, status, currency
    """
)


async def _mirrored(
    ctx: Context, start: datetime, end: datetime
) -> tuple[Outcomes, list[RefundPattern]]:
    window = {"start": start, "end": end}
    async with ctx.db.transaction() as tx:
        counts = (await tx.execute(_OUTCOMES, window)).mappings().one()
        patterns = (await tx.execute(_PATTERNS, window)).mappings().all()
    decided, succeeded = counts["succeeded"] + counts["failed"], counts["succeeded"]
    outcomes = Outcomes(
        **counts,
        success_rate=rate(succeeded, decided),
        failure_rate=rate(counts["failed"], decided),
        refund_rate=rate(counts["refunded"], succeeded),
        dispute_rate=rate(counts["disputed"], succeeded),
    )
    return outcomes, [RefundPattern(**pattern) for pattern in patterns]


def rate(part: int, whole: int) -> float | None:
    """A part of the whole, to four places; null where there is no whole."""
    return round(part / whole, 4) if whole else None
