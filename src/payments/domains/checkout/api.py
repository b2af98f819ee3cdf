"""Checkout sessions, PaymentIntents, and what a front end needs to know."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context, Ctx
from payments.core import errors
from payments.core.errors import Forbidden, InFlight, NotFound
from payments.core.idempotency import Idempotent, KeyReused, Repeatable
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import ObjectId
from payments.domains import customers
from payments.domains.catalog import tables as catalog
from payments.domains.checkout import promotion
from payments.domains.checkout.opening import Form, Wish, open_payable
from payments.domains.checkout.params import intent_params, session_params
from payments.domains.checkout.pricing import meant
from payments.domains.checkout.redirects import return_urls
from payments.domains.checkout.schemas import (
    CheckoutSessionCreate,
    CheckoutSessionOut,
    CheckoutSessionState,
    ConfigOut,
    PaymentIntentCreate,
    PaymentIntentOut,
    Target,
)
from payments.domains.checkout.tables import CHECKOUT_SESSION, CheckoutSession
from payments.domains.customers import users_customers
from payments.domains.payables import (
    Offer,
    Offered,
    Order,
    Payable,
    Payables,
    Shop,
    payable_for,
)
from payments.domains.payments import PAYMENT_INTENT, PaymentIntent
from payments.stripe_api import stripe_js
from payments.stripe_api.service import API_VERSION
from payments.sync import inbox
from payments.sync.resources import Resource

router = APIRouter(prefix="/stripe", tags=["checkout"])

PAYING_FAILS = errors.problems(
    errors.Unauthenticated, errors.CardDeclined, errors.Forbidden, errors.NotFound, errors.Conflict,
    errors.InFlight, errors.BodyTooLarge, errors.Invalid, errors.AmountNotChargeable, KeyReused,
    errors.StripeRejected, errors.StripeFailed, errors.StripeBusy, errors.StripeTimeout,
)  # fmt: skip
LOOK_AGAIN: Final = 3

Params = Callable[[str, Offer, str], dict[str, Any]]
"""Stripe's parameters from a reference, an offer and a customer."""


@router.get("/config")
async def read_config(ctx: Ctx) -> ConfigOut:
    """The publishable key and what else a front end may know; public."""
    return ConfigOut(
        publishable_key=ctx.settings.stripe_publishable_key,
        stripe_js=stripe_js.address(ctx.settings.stripe_api_base),
        currency=ctx.settings.default_currency,
        livemode=ctx.settings.live,
        api_version=API_VERSION,
    )


@router.post("/create-checkout-session", responses=PAYING_FAILS)
async def create_checkout_session(
    body: CheckoutSessionCreate, ctx: Ctx, who: Authenticated, payables: Offered, key: Idempotent
) -> CheckoutSessionOut:
    """Open Stripe's page for a booking, a product or a plan. Asking again for the same gives the
    same page; asking for something else of a booking, or for another plan, closes the old one.
    """
    urls = return_urls(ctx.settings, body.success_url, body.cancel_url)
    code = await promotion.find(ctx, body.promotion_code) if body.promotion_code else None
    session = await _open(
        ctx, who, payables, body, amount=body.total, form="checkout_session", key=key,
        params=lambda reference, offer, customer: session_params(
            reference, offer, customer, items=body.line_items, urls=urls, settings=ctx.settings,
            promotion_code=code,
        ),
    )  # fmt: skip
    return CheckoutSessionOut(
        session_id=session["id"],
        url=session["url"],
        checkout_url=session["url"],
        expires_at=datetime.fromtimestamp(session["expires_at"], UTC),
        **_about(session, session["amount_total"]),
    )


@router.post("/create-payment-intent", responses=PAYING_FAILS)
async def create_payment_intent(
    body: PaymentIntentCreate, ctx: Ctx, who: Authenticated, payables: Offered, key: Idempotent
) -> PaymentIntentOut:
    """Open a PaymentIntent for Elements, under the same rules as a Checkout session."""
    intent = await _open(
        ctx, who, payables, body, amount=body.amount_cents, form="payment_intent", key=key,
        params=intent_params,
    )  # fmt: skip
    return PaymentIntentOut(
        id=intent["id"],
        client_secret=intent["client_secret"],
        publishable_key=ctx.settings.stripe_publishable_key,
        status=intent["status"],
        **_about(intent, intent["amount"]),
    )


async def _open(
    ctx: Context,
    who: Principal,
    payables: Payables,
    body: CheckoutSessionCreate | PaymentIntentCreate,
    *,
    amount: int | None,
    form: Form,
    key: Repeatable | None,
    params: Params,
) -> dict[str, Any]:
    async with ctx.db.transaction() as tx:
        payable, id = await _target(ctx, tx, who, payables, body)
        wanted: dict[str, Any] = {
            "id": id, "purpose": body.payment_type, "amount": amount, "principal": who,
        }  # fmt: skip
        first = await meant(tx, payable, **wanted)
    reference = f"{payable.kind}:{id}"

    async def price(tx: AsyncConnection) -> Offer:
        offer = await meant(tx, payable, **wanted)
        if offer.recurring != first.recurring:
            raise InFlight("another plan is being asked for in another tab", retry_after=2)
        return offer

    async def open_for(customer: str) -> dict[str, Any]:
        def stripes(offer: Offer) -> dict[str, Any]:
            return params(reference, offer, customer)

        return await open_payable(ctx, Wish(reference, form, price, stripes, who, key))

    email = who.email if first.owner == who.user_id else None
    return await customers.with_customer(ctx, open_for, user_id=first.owner, email=email)


async def _target(
    ctx: Context, tx: AsyncConnection, who: Principal, payables: Payables, body: Target
) -> tuple[Payable, str]:
    """What is to be paid, and its id there."""
    if body.product_id is not None:
        shop = payables[await _kind(ctx, tx, body)]
        assert isinstance(shop, Shop)
        return shop, await shop.order(tx, _order(ctx, body, who), now=ctx.clock.now())
    payable, named = payable_for(body.reference or f"booking:{body.booking_id}", payables)
    return payable, await payable.locate(tx, id=named, principal=who)


async def _kind(ctx: Context, tx: AsyncConnection, body: Target) -> str:
    """Which shop sells a product: by its price, unless the caller says it."""
    asked = body.mode if isinstance(body, CheckoutSessionCreate) else "payment"
    if asked is None:
        recurs = await catalog.recurs(tx, ctx.settings.price_named(str(body.product_id)))
        asked = "subscription" if recurs else "payment"
    return "subscription" if asked == "subscription" else "purchase"


def _order(ctx: Context, body: Target, who: Principal) -> Order:
    assert body.product_id is not None
    user = body.user_id or who.user_id
    if not who.sees(user):
        raise Forbidden("only a service or an admin may buy for somebody else; leave user_id out")
    trial = body.trial_days if isinstance(body, CheckoutSessionCreate) else None
    if trial is not None and not who.privileged:
        raise Forbidden("only a service or an admin may grant a trial; leave trial_days out")
    return Order(
        product=ctx.settings.price_named(body.product_id),
        quantity=body.quantity or 1,
        user=user,
        email=who.email if user == who.user_id else None,
        trial_days=trial,
    )


def _about(object: dict[str, Any], amount: int) -> dict[str, Any]:
    metadata = object["metadata"]
    return {
        "booking_id": metadata.get("booking_id"),
        "reference": metadata["reference"],
        "payment_type": metadata["payment_type"],
        "amount_cents": amount,
        "currency": object["currency"],
    }


@router.get(
    "/checkout-sessions/{id}",
    responses=errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid),
)
async def read_checkout_session(id: ObjectId, ctx: Ctx, who: Authenticated) -> CheckoutSessionState:
    """What became of a session. Where no event has come, Stripe is asked in the background."""
    async with ctx.db.transaction() as tx:
        session = await _session(tx, id, who)
        intent = await _intent_status(tx, session.payment_intent)
        if session.created_at < ctx.clock.now() - timedelta(seconds=LOOK_AGAIN):
            unknown = _unknown(session, intent)
            await inbox.request_fetches(tx, unknown, idle_seconds=LOOK_AGAIN)
    return CheckoutSessionState(
        session_id=session.id,
        status=session.status,
        payment_status=session.payment_status,
        paid=session.payment_status == "no_payment_required"
        or intent == "succeeded"
        or (session.mode == "subscription" and session.payment_status == "paid"),
        booking_id=booking_of(session.reference),
        reference=session.reference,
        payment_intent=session.payment_intent,
        payment_type=session.payment_type,
        amount_cents=session.amount_total,
        currency=session.currency,
    )


def _unknown(session: Row[Any], intent: str | None) -> list[tuple[Resource, str]]:
    """The objects whose end has not been seen yet, of a session and its payment."""
    wanted: list[tuple[Resource, str]] = []
    if session.status == "open" or (session.status, session.payment_status) == (
        "complete",
        "unpaid",
    ):
        wanted.append((CHECKOUT_SESSION, session.id))
    if session.payment_intent and intent not in ("succeeded", "canceled"):
        wanted.append((PAYMENT_INTENT, session.payment_intent))
    return wanted


def booking_of(reference: str | None) -> str | None:
    kind, _, id = (reference or "").partition(":")
    return id if kind == "booking" else None


async def _session(tx: AsyncConnection, id: str, who: Principal) -> Row[Any]:
    query = select(CheckoutSession).where(CheckoutSession.id == id)
    if not who.privileged:
        query = query.where(CheckoutSession.customer.in_(users_customers(who.user_id)))
    found = (await tx.execute(query)).first()
    if found is None:
        raise NotFound(f"there is no checkout session {id}")
    return found


async def _intent_status(tx: AsyncConnection, id: str | None) -> str | None:
    query = select(PaymentIntent.status).where(PaymentIntent.id == id)
    return (await tx.execute(query)).scalar_one_or_none()
