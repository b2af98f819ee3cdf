"""Subscriptions over HTTP: subscribe, look, cancel, resume, change, pause, pay what is overdue."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import select

from payments.context import Context, Ctx
from payments.core import errors, paging
from payments.core.errors import Conflict, Forbidden, NotFound
from payments.core.idempotency import Idempotent, KeyReused
from payments.core.paging import Page
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import ObjectId
from payments.domains import customers
from payments.domains.customers import users_customers
from payments.domains.subscriptions import changing, plan_change
from payments.domains.subscriptions.changing import Change, Decide
from payments.domains.subscriptions.plans import find_plan
from payments.domains.subscriptions.schemas import (
    PlanChange,
    PlanPreview,
    SubscriptionCreate,
    SubscriptionCreated,
    SubscriptionOut,
)
from payments.domains.subscriptions.showing import one, shown
from payments.domains.subscriptions.subscribing import Subscribed, Wish, subscribe
from payments.domains.subscriptions.tables import Subscription
from payments.stripe_api.failures import StripeObjectMissing

router = APIRouter(prefix="/stripe", tags=["subscriptions"])

READING_FAILS = errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid)
STRIPE_FAILS = (
    errors.StripeRejected, errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
)  # fmt: skip
CHANGING_FAILS = errors.problems(
    errors.Unauthenticated, errors.CardDeclined, errors.NotFound, errors.Conflict, errors.InFlight,
    StripeObjectMissing, errors.BodyTooLarge, errors.Invalid, KeyReused, *STRIPE_FAILS,
)  # fmt: skip
SUBSCRIBING_FAILS = errors.problems(
    errors.Unauthenticated, errors.Forbidden, errors.Conflict, errors.InFlight,
    StripeObjectMissing, errors.BodyTooLarge, errors.Invalid, KeyReused, *STRIPE_FAILS,
)  # fmt: skip
AtOnce = Annotated[bool, Query(description="at once, instead of at the end of the period")]
OneId = Annotated[ObjectId, Path(description="a subscription's id, sub_…")]
SECRETS = ["latest_invoice.confirmation_secret", "pending_setup_intent"]


@router.post("/create-subscription", responses=SUBSCRIBING_FAILS)
async def create_subscription(
    body: SubscriptionCreate, ctx: Ctx, who: Authenticated, key: Idempotent
) -> SubscriptionCreated:
    """Subscribe to a plan; the first payment is confirmed with the secret by Elements. A user has
    one plan of a group: asking again for the same gives the same while it waits for its payment,
    and another one that was not paid yet gives way.
    """
    wish = await _wish(ctx, body, who, key)

    async def subscribe_as(customer: str) -> Subscribed:
        return await subscribe(ctx, wish, customer)

    email = who.email if wish.user == who.user_id else None
    made = await customers.with_customer(ctx, subscribe_as, user_id=wish.user, email=email)
    secret, confirms = await _secret(ctx, made.id)
    if made.again and secret is None:
        raise Conflict(
            f"there is this plan already ({made.id}), and nothing is to be paid for it now",
            subscription=made.id,
        )
    return SubscriptionCreated(
        **(await one(ctx, made.id)).model_dump(),
        client_secret=secret,
        confirms=confirms,
        publishable_key=ctx.settings.stripe_publishable_key,
    )


async def _wish(ctx: Context, body: SubscriptionCreate, who: Principal, key: Idempotent) -> Wish:
    user = body.user_id or who.user_id
    if not who.sees(user):
        raise Forbidden("only a service or an admin may subscribe somebody else; leave user_id out")
    if body.trial_days is not None and not who.privileged:
        raise Forbidden("only a service or an admin may grant a trial; leave trial_days out")
    async with ctx.db.transaction() as tx:
        plan = await find_plan(tx, ctx.settings.price_named(body.product_id))
    return Wish(
        plan=plan, quantity=body.quantity, trial_days=body.trial_days, user=user, who=who, key=key
    )


async def _secret(ctx: Context, id: str) -> tuple[str | None, Any]:
    """What the customer's browser needs, asked for when it is needed and never kept."""
    found = await ctx.stripe.call(
        lambda c: c.v1.subscriptions.retrieve_async(id, {"expand": [*SECRETS]})
    )
    invoice = found.object.get("latest_invoice") or {}
    if secret := (invoice.get("confirmation_secret") or {}).get("client_secret"):
        return (secret, "payment") if invoice["status"] == "open" else (None, None)
    if intent := found.object.get("pending_setup_intent"):
        return intent["client_secret"], "setup"
    return None, None


@router.get("/subscriptions/{id}", responses=READING_FAILS)
async def read_subscriptions(
    id: Annotated[ObjectId, Path(description="a subscription's id, sub_…, or a user's")],
    ctx: Ctx,
    who: Authenticated,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> SubscriptionOut | Page[SubscriptionOut]:
    """One subscription by its id; or all of a user's, newest first, ended ones as well."""
    if id.startswith("sub_"):
        return await one(ctx, id, who)
    if not who.sees(id):
        raise NotFound(f"there is no user {id!r}")
    seen = select(Subscription).where(
        ~Subscription.deleted, Subscription.customer.in_(users_customers(id))
    )
    async with ctx.db.transaction() as tx:
        rows, more = await paging.page(
            tx, seen, Subscription.__table__, limit=limit, visible=seen,
            starting_after=starting_after,
        )  # fmt: skip
        data = await shown(tx, rows)
    return Page(data=data, has_more=more, url=f"/api/v1/stripe/subscriptions/{id}")


@router.delete("/subscriptions/{id}", responses=CHANGING_FAILS)
async def cancel_subscription(
    id: OneId, ctx: Ctx, who: Authenticated, key: Idempotent, *, now: AtOnce = False
) -> SubscriptionOut:
    """Cancel. What is paid for stays until the end of the period, unless it is to end now; one that
    was never paid ends at once.
    """
    return await _changed(ctx, id, lambda found: changing.cancel(found, now=now), who, key)


@router.post("/subscriptions/{id}/resume", responses=CHANGING_FAILS)
async def resume_subscription(
    id: OneId, ctx: Ctx, who: Authenticated, key: Idempotent
) -> SubscriptionOut:
    """Take a cancellation back, or end a pause: then a new period begins once it is paid."""
    return await _changed(ctx, id, changing.resume, who, key)


@router.post("/subscriptions/{id}/pause", responses=CHANGING_FAILS)
async def pause_subscription(
    id: OneId, ctx: Ctx, who: Authenticated, key: Idempotent
) -> SubscriptionOut:
    """Pause: until it is resumed it gives nothing and costs nothing; what was paid and is not used
    is credited on the next invoice.
    """
    return await _changed(ctx, id, changing.pause, who, key)


@router.post("/subscriptions/{id}/retry-payment", responses=CHANGING_FAILS)
async def retry_payment(
    id: OneId, ctx: Ctx, who: Authenticated, key: Idempotent
) -> SubscriptionOut:
    """Try once more to collect what is overdue, with the card that the customer has now."""
    return await _changed(ctx, id, changing.pay, who, key)


@router.post("/subscriptions/{id}/change-plan", responses=CHANGING_FAILS)
async def change_plan(
    id: OneId, body: PlanChange, ctx: Ctx, who: Authenticated, key: Idempotent
) -> SubscriptionOut | PlanPreview:
    """Change the plan or its quantity from now on; the difference is charged at once, and where
    that fails nothing changes. With `preview` it is only said what that would be.
    """
    found = await changing.known(ctx, id, who)
    plan = await plan_change.plan_for(ctx, found, body.product_id)
    date = plan_change.dated(ctx, body.proration_date)

    def decide(found: Any) -> Change:
        return plan_change.change_plan(found, plan, quantity=body.quantity, proration_date=date)

    if not body.preview:
        return await _changed(ctx, id, decide, who, key)
    return await plan_change.preview(ctx, decide(found))


async def _changed(
    ctx: Context, id: str, decide: Decide, who: Principal, key: Idempotent
) -> SubscriptionOut:
    await changing.change(ctx, id, decide, who=who, key=key)
    return await one(ctx, id)
