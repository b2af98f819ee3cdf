"""Opening something to pay: reserve, call Stripe, apply; one per reference and slot."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit, idempotency
from payments.core.errors import Conflict, InFlight, StripeRejected
from payments.core.idempotency import Repeatable
from payments.core.principal import Principal
from payments.domains.checkout.tables import CHECKOUT_SESSION, OpenPayable, slot
from payments.domains.payables import Offer
from payments.domains.payments import PAYMENT_INTENT, PaymentIntent
from payments.settings import STALE_KEY
from payments.stripe_api.service import options
from payments.sync import observe, switches
from payments.sync.apply import locked
from payments.sync.resources import Resource

Form = Literal["checkout_session", "payment_intent"]
RESOURCES: Final[Mapping[str, Resource]] = {
    "checkout_session": CHECKOUT_SESSION,
    "payment_intent": PAYMENT_INTENT,
}
LEASE_SECONDS: Final = 60
PAYABLE: Final = {"open", "requires_payment_method", "requires_confirmation", "requires_action"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants opened. `price` is called under the reference's lock and may refuse;
    `params` turns the offer into Stripe's parameters; a repeated `key` names what was opened.
    """

    reference: str
    form: Form
    price: Callable[[AsyncConnection], Awaitable[Offer]]
    params: Callable[[Offer], dict[str, Any]]
    who: Principal
    key: Repeatable | None


async def open_payable(ctx: Context, wish: Wish) -> dict[str, Any]:
    """Return something to pay: the one that is open already if it says the same, else a new one
    after the old one was closed at Stripe. It is as Stripe gave it, with its url or client_secret.

    Raises:
        Conflict: nothing is due, or what was open has just been paid.
        InFlight: another request is opening or closing the same right now.
        Problem: Stripe's errors; where the outcome is unknown, the next call resumes the row.
    """
    async with idempotency.held(ctx.db, wish.key):
        for _ in range(5):
            row, rivals = await _reserve(ctx, wish)
            for rival in rivals:
                await close(ctx, rival)
            if row is not None and (object := await _realise(ctx, row)):
                return object
    raise InFlight("this is being paid or changed right now; look at it again", retry_after=2)


async def _reserve(ctx: Context, wish: Wish) -> tuple[Row[Any] | None, list[Row[Any]]]:
    now = ctx.clock.now()
    async with ctx.db.transaction() as tx:
        await locked(tx, [wish.reference])
        earlier = await idempotency.claim(tx, wish.key, now=now)
        if earlier and (row := await _opened_before(tx, UUID(earlier))) is not None:
            return row, []
        await switches.ensure_current(tx, wish.reference)
        offer = await wish.price(tx)
        row, rivals = await _row_for(tx, wish, offer, now=now)
        if row is not None:
            await idempotency.bind(tx, wish.key, row.id.hex)
        return row, rivals


async def _opened_before(tx: AsyncConnection, id: UUID) -> Row[Any] | None:
    """What a key has opened; None where nothing came of it, so that it may open something now."""
    row = (await tx.execute(select(OpenPayable).where(OpenPayable.id == id))).one()
    if row.closed_at is None:
        return row
    if row.stripe_id is None:
        return None
    raise Conflict(
        f"what this Idempotency-Key opened ({row.stripe_id}) can no longer be paid: look at the "
        "booking, and send a new key to open another"
    )


async def _row_for(
    tx: AsyncConnection, wish: Wish, offer: Offer, *, now: datetime
) -> tuple[Row[Any] | None, list[Row[Any]]]:
    params = wish.params(offer)
    fingerprint = _fingerprint(wish.form, params)
    open_ = await _open_rows(tx, wish.reference, slot(offer.purpose))
    for row in open_:
        resumable = row.stripe_id is not None or row.reserved_at > now - STALE_KEY
        if row.fingerprint == fingerprint and resumable:
            return row, []
    if open_:
        return None, open_
    added = insert(OpenPayable).values(
        id=uuid4(),
        reference=wish.reference,
        slot=slot(offer.purpose),
        form=wish.form,
        purpose=offer.purpose,
        fingerprint=fingerprint,
        params=params,
        reserved_at=now,
    )
    row = (await tx.execute(added.returning(OpenPayable))).one()
    await audit.record(
        tx, wish.who, act="payment.opened", subject=wish.reference, payable=row.id.hex,
        purpose=offer.purpose, amount=offer.money.amount, currency=offer.money.currency,
    )  # fmt: skip
    return row, []


async def _open_rows(
    tx: AsyncConnection, reference: str, slot: str | None = None
) -> list[Row[Any]]:
    """Reservations that can be paid: open ones, and those of a debit that failed, whose
    client_secret is still out.
    """
    again = select(PaymentIntent.id).where(
        PaymentIntent.reference == reference, PaymentIntent.status.in_(PAYABLE)
    )
    query = select(OpenPayable).where(
        OpenPayable.reference == reference,
        or_(OpenPayable.closed_at.is_(None), OpenPayable.stripe_id.in_(again)),
    )
    if slot is not None:
        query = query.where(OpenPayable.slot == slot)
    return list((await tx.execute(query)).all())


def _fingerprint(form: str, params: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps([form, params], option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _realise(ctx: Context, row: Row[Any]) -> dict[str, Any] | None:
    """The row's object at Stripe, made now if it is not there yet; None, and the row closed, if it
    can no longer be paid.
    """
    resource = RESOURCES[row.form]
    if row.stripe_id is not None:
        found = await _look(ctx, row, row.stripe_id)
        if found["status"] in PAYABLE:
            return found
        await _mark_closed(ctx, row)
        return None
    made = await observe.create(
        ctx.sync,
        resource,
        lambda c: _create(c, row),
        left=lambda: _find(ctx, row),
        over=lambda: _mark_closed(ctx, row),
    )
    if not await _mark_open(ctx, row, made["id"]):
        await close(ctx, row, stripe_id=made["id"])
        raise InFlight("another request has replaced this one", retry_after=1)
    return made if made["status"] in PAYABLE else None


async def _look(ctx: Context, row: Row[Any], id: str) -> dict[str, Any]:
    """The object now; of a session that is complete, its payment too: a price that is asked for
    next must know about the money.
    """
    found = await observe.refresh(ctx.sync, RESOURCES[row.form], id)
    if row.form == "checkout_session" and found["status"] == "complete":
        for name in ("payment_intent", "subscription"):
            if brought := found.get(name):
                await observe.refresh(ctx.sync, ctx.sync.registry.by_name[name], brought)
    return found


async def _create(client: Any, row: Row[Any]) -> Any:
    metadata = {**row.params["metadata"], "payable": row.id.hex}
    params = {**row.params, "metadata": metadata}
    if row.form == "payment_intent":
        create = client.v1.payment_intents.create_async
    else:
        create = client.v1.checkout.sessions.create_async
        made = "payment_intent_data" if params["mode"] == "payment" else "subscription_data"
        params[made] = {**params[made], "metadata": metadata}
    return await create(params, options(f"payable:{row.id.hex}"))


async def _find(ctx: Context, row: Row[Any]) -> dict[str, Any] | None:
    """What a creation of unknown outcome has left at Stripe."""
    return await observe.find(
        ctx.sync,
        RESOURCES[row.form],
        mark=("payable", row.id.hex),
        since=row.reserved_at,
        customer=row.params["customer"],
    )


async def _mark_open(ctx: Context, row: Row[Any], stripe_id: str) -> bool:
    async with ctx.db.transaction() as tx:
        updated = await tx.execute(
            update(OpenPayable)
            .where(OpenPayable.id == row.id, OpenPayable.closed_at.is_(None))
            .values(stripe_id=stripe_id)
            .returning(OpenPayable.id)
        )
        return updated.first() is not None


async def _mark_closed(ctx: Context, row: Row[Any]) -> None:
    async with ctx.db.transaction() as tx:
        await tx.execute(
            update(OpenPayable)
            .where(OpenPayable.id == row.id, OpenPayable.closed_at.is_(None))
            .values(closed_at=ctx.clock.now())
        )


async def close(ctx: Context, row: Row[Any], *, stripe_id: str | None = None) -> None:
    """Make sure that a reservation can no longer be paid, at Stripe first and then here.

    Raises:
        InFlight: its creation is under way; its outcome is not known yet.
        Problem: Stripe could not be asked, so nothing has changed.
    """
    id = stripe_id or row.stripe_id
    if id is None:
        age = (ctx.clock.now() - row.reserved_at).total_seconds()
        if age < LEASE_SECONDS:
            raise InFlight("another payment is being opened for this", retry_after=2)
        found = await _find(ctx, row)
        if found is None:
            await _mark_closed(ctx, row)
            return
        id = str(found["id"])
    resource = RESOURCES[row.form]
    if (await _look(ctx, row, id))["status"] in PAYABLE:
        try:
            await observe.perform(ctx.sync, resource, lambda c: _cancel(c, row, id))
        except StripeRejected:
            # Paid or expired in between: what it is now decides, not what it was.
            if (await _look(ctx, row, id))["status"] in PAYABLE:
                raise
    await _mark_closed(ctx, row)


async def _cancel(client: Any, row: Row[Any], id: str) -> Any:
    # Both end a state, so repeating them is harmless; a new key each time, because Stripe would
    # replay an error of its own to the old one.
    key = options(f"close:{row.id.hex}:{uuid4().hex}")
    if row.form == "payment_intent":
        return await client.v1.payment_intents.cancel_async(id, {}, key)
    return await client.v1.checkout.sessions.expire_async(id, {}, key)


async def close_all(ctx: Context, reference: str) -> None:
    """Close whatever is open for a reference, before its price changes."""
    async with ctx.db.transaction() as tx:
        rows = await _open_rows(tx, reference)
    for row in rows:
        await close(ctx, row)


async def ensure_closed(tx: AsyncConnection, reference: str) -> None:
    """Under the reference's lock: nothing is open at the old price, or was just paid.

    Raises:
        Conflict: something was opened meanwhile.
        Unavailable: effects are paused.
    """
    await switches.ensure_current(tx, reference)
    if await _open_rows(tx, reference):
        raise Conflict("a payment was opened meanwhile; send the change again")
