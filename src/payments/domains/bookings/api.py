"""GET, POST and PUT /bookings."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context, Ctx
from payments.core import audit, errors, idempotency, paging
from payments.core.errors import Conflict, Forbidden, Invalid
from payments.core.idempotency import Idempotent, KeyReused
from payments.core.money import display, ensure_chargeable
from payments.core.paging import Page
from payments.core.principal import Authenticated, Principal
from payments.core.schemas import ObjectId
from payments.domains.bookings.payable import Bookings, find
from payments.domains.bookings.price import menu_price
from payments.domains.bookings.schemas import (
    PRICE,
    BookingCreate,
    BookingFields,
    BookingOut,
    BookingUpdate,
    shown,
)
from payments.domains.bookings.tables import KIND, Booking, new_id
from payments.domains.checkout.opening import close_all, ensure_closed
from payments.sync.apply import locked

router = APIRouter(prefix="/bookings", tags=["bookings"])

READING_FAILS = errors.problems(errors.Unauthenticated, errors.NotFound, errors.Invalid)
SERVICE_FIELDS = ("reference", "user_id", "email", "total_cents", "deposit_cents", "currency")


@router.get("", responses=errors.problems(errors.Unauthenticated, errors.Invalid))
async def list_bookings(
    ctx: Ctx,
    who: Authenticated,
    limit: paging.Limit = 10,
    starting_after: paging.StartingAfter = None,
) -> Page[BookingOut]:
    """Bookings, newest first: one's own for a user, all for service and admin."""
    query = select(Booking)
    if not who.privileged:
        query = query.where(Booking.user_id == who.user_id)
    async with ctx.db.transaction() as tx:
        table = Booking.__table__
        rows, more = await paging.page(
            tx, query, table, limit=limit, starting_after=starting_after, visible=query
        )
    return Page(data=[shown(row) for row in rows], has_more=more, url="/api/v1/bookings")


@router.get("/{id}", responses=READING_FAILS)
async def read_booking(id: ObjectId, ctx: Ctx, who: Authenticated) -> BookingOut:
    """One booking, by id or by the reference a service gave it."""
    async with ctx.db.transaction() as tx:
        return shown(await find(tx, id, who))


@router.post(
    "",
    status_code=201,
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.Conflict, errors.InFlight,
        errors.BodyTooLarge, errors.Invalid, errors.AmountNotChargeable, KeyReused,
        errors.Unavailable,
    ),
)  # fmt: skip
async def create_booking(
    body: BookingCreate, ctx: Ctx, who: Authenticated, key: Idempotent
) -> BookingOut:
    """Book. A user's booking is priced from the catalogue; a service may send its own price."""
    _refuse_service_fields(body, who)
    _refuse_past(ctx, body)
    async with ctx.db.transaction() as tx:
        booked = await idempotency.claim(tx, key, now=ctx.clock.now())
        row = await find(tx, booked, who) if booked else await _book(tx, ctx, body, who)
        await idempotency.bind(tx, key, row.id, done=True)
    return shown(row)


async def _book(tx: AsyncConnection, ctx: Context, body: BookingCreate, who: Principal) -> Row[Any]:
    price = await _price(tx, body, ctx.settings.default_currency)
    values = body.model_dump(exclude=set(PRICE) | {"currency"})
    values |= {"id": new_id(), **price, **_owner(body, who), "created_at": ctx.clock.now()}
    added = insert(Booking).values(values).on_conflict_do_nothing().returning(Booking)
    row = (await tx.execute(added)).first()
    if row is None:
        raise Conflict(f"there is a booking with the reference {body.reference!r} already")
    if row.total_cents == 0:
        await Bookings().paid(tx, ids=[row.id], now=ctx.clock.now())
        return await find(tx, row.id, who)
    return row


@router.put(
    "/{id}",
    responses=errors.problems(
        errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.Conflict, errors.InFlight,
        errors.BodyTooLarge, errors.Invalid, errors.AmountNotChargeable, errors.StripeFailed,
        errors.Unavailable, errors.StripeTimeout,
    ),
)  # fmt: skip
async def update_booking(
    id: ObjectId, body: BookingUpdate, ctx: Ctx, who: Authenticated
) -> BookingOut:
    """Change a booking. A new price closes a payment page that still shows the old one."""
    _refuse_service_fields(body, who)
    _refuse_past(ctx, body)
    async with ctx.db.transaction() as tx:
        before = await find(tx, id, who)
        price = await _new_price(tx, before, body)
    if price:
        await close_all(ctx, f"{KIND}:{before.id}")
    return shown(await _change(ctx, before.id, body, who))


async def _change(ctx: Context, id: str, body: BookingUpdate, who: Principal) -> Row[Any]:
    now = ctx.clock.now()
    reference = f"{KIND}:{id}"
    async with ctx.db.transaction() as tx:
        await locked(tx, [reference])
        before = await find(tx, id, who)
        price = await _new_price(tx, before, body)
        if price:
            await ensure_closed(tx, reference)
            _refuse_processing(before)
            old = {name: getattr(before, name) for name in price}
            await audit.record(
                tx, who, act="booking.repriced", subject=id, old=old, new=dict(price)
            )
        changes = {**body.model_dump(exclude_unset=True, exclude=set(PRICE)), **price}
        await tx.execute(update(Booking).where(Booking.id == id).values(**changes, updated_at=now))
        await Bookings().paid(tx, ids=[id], now=now)
        return await find(tx, id, who)


def _refuse_service_fields(body: BookingFields, who: Principal) -> None:
    sent = [name for name in SERVICE_FIELDS if name in body.model_fields_set]
    if sent and not who.privileged:
        raise Forbidden(f"only a service or an admin may send {', '.join(sent)}")


def _refuse_past(ctx: Context, body: BookingFields) -> None:
    today = ctx.clock.now().astimezone(ctx.settings.zone).date()
    if ctx.settings.environment == "production" and body.date is not None and body.date < today:
        raise Invalid(f"date: {body.date} is past; send {today} or later")


def _refuse_processing(before: Row[Any]) -> None:
    """A debit that comes back could be paid again, and at the price it was made for."""
    if before.processing_cents:
        under_way = display(before.processing_cents, before.currency)
        raise Conflict(f"{under_way} is still being processed; change the price once it is here")


def _owner(body: BookingCreate, who: Principal) -> dict[str, Any]:
    if body.user_id is None:
        return {"user_id": who.user_id, "email": body.email or who.email}
    return {"user_id": body.user_id, "email": body.email}


async def _price(tx: AsyncConnection, body: BookingCreate, default: str) -> dict[str, Any]:
    if body.total_cents is not None:
        return _own_price(body.total_cents, body.deposit_cents or 0, body.currency or default)
    assert body.menu is not None
    assert body.guests is not None
    total, deposit = await menu_price(tx, menu=body.menu, guests=body.guests)
    return {"total_cents": total.amount, "deposit_cents": deposit, "currency": total.currency}


def _own_price(total: int, deposit: int, currency: str) -> dict[str, Any]:
    for amount in (total, deposit, total - deposit):  # each may have to be charged by itself
        if amount:
            ensure_chargeable(amount, currency)
    return {
        "total_cents": total,
        "deposit_cents": deposit,
        "currency": currency,
        "own_price": True,
    }


async def _new_price(tx: AsyncConnection, before: Row[Any], body: BookingUpdate) -> dict[str, Any]:
    """The price columns that change, empty where the price stays."""
    after: Mapping[str, Any] = {}
    if body.total_cents is not None or body.deposit_cents is not None:
        total = before.total_cents if body.total_cents is None else body.total_cents
        deposit = before.deposit_cents if body.deposit_cents is None else body.deposit_cents
        if deposit > total:
            raise Invalid(f"deposit_cents {deposit} may not exceed total_cents {total}")
        after = _own_price(total, deposit, before.currency)
    elif {"menu", "guests"} & body.model_fields_set:
        after = await _menu_price(tx, before, body)
    return {name: value for name, value in after.items() if value != getattr(before, name)}


async def _menu_price(tx: AsyncConnection, before: Row[Any], body: BookingUpdate) -> dict[str, Any]:
    menu, guests = body.menu or before.menu, body.guests or before.guests
    if before.own_price or menu is None or guests is None:
        return {}  # a price that a service has set stays until it sets another
    total, deposit = await menu_price(tx, menu=menu, guests=guests)
    if total.currency != before.currency:
        raise Conflict(f"the catalogue is in {total.currency}, this booking in {before.currency}")
    return {"total_cents": total.amount, "deposit_cents": deposit}
