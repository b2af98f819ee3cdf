"""Bookings as a payable: what is due, and what follows when money moves."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict, NotFound
from payments.core.money import Money, display
from payments.core.principal import Principal
from payments.core.telemetry import alert
from payments.domains.bookings.tables import KIND, Booking
from payments.domains.payables import Offer, Purpose

TITLES: Final[dict[Purpose, str]] = {
    "deposit": "Booking deposit",
    "balance": "Booking balance",
    "full": "Booking",
    "addon": "Booking addon",
}


def due(row: Row[Any]) -> int:
    """What is still to be paid, in minor units: total − paid + refunded, never below nothing.
    `total` includes the addons that were paid.
    """
    total = int(row.total_cents) + int(row.addons_cents)
    return max(0, total - int(row.paid_cents) + int(row.refunded_cents))


class Bookings:
    """The port's implementation; see `payments.domains.payables`."""

    kind = KIND

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        return str((await find(tx, id, principal)).id)

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        row = await find(tx, id, principal)
        open_ = due(row) - row.processing_cents
        amount = {
            "deposit": _deposit_due(row),
            "balance": open_ if _deposit_due(row) == 0 else 0,
            "full": open_,
            "addon": 0,
        }[purpose]
        if purpose != "addon" and amount <= 0:
            raise Conflict(_why_nothing(row, purpose))
        return Offer(
            owner=row.user_id,
            email=row.email,
            purpose=purpose,
            money=Money(amount, row.currency),
            due=Money(max(0, open_), row.currency),
            description=TITLES[purpose],
            metadata={"booking_id": row.id},
        )

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        changed = (await tx.execute(_RECOMPUTE, {"ids": sorted(ids), "now": now})).all()
        for row in changed:
            if row.overpaid > 0:
                alert("overpaid", "a booking was paid beyond its total", **row._asdict())


def _deposit_due(row: Row[Any]) -> int:
    held = row.paid_cents - row.refunded_cents - row.addons_cents + row.processing_cents
    return int(max(0, row.deposit_cents - held))


def _why_nothing(row: Row[Any], purpose: Purpose) -> str:
    if row.processing_cents and due(row) <= row.processing_cents:
        return (
            f"a payment of {display(row.processing_cents, row.currency)} is still being processed"
        )
    if due(row) == 0:
        return f"booking {row.id} is paid in full"
    if purpose == "balance":
        return "the deposit comes first; pay payment_type deposit, or full"
    return f"the deposit of booking {row.id} is paid; pay payment_type balance, or full"


async def find(tx: AsyncConnection, id: str, principal: Principal) -> Row[Any]:
    """A booking by id or reference; another customer's is not there.

    Raises:
        NotFound: there is none that this principal may see.
    """
    query = select(Booking).where(or_(Booking.id == id, Booking.reference == id))
    found = (await tx.execute(query.order_by((Booking.id == id).desc()))).first()
    if found is None or not principal.sees(found.user_id):
        raise NotFound(f"there is no booking {id!r}")
    return found


_RECOMPUTE: Final = text(
    """
    with money as (
        select b.id,
               coalesce(sum(p.received_cents), 0) as paid,
               coalesce(sum(p.refunded_cents), 0) as refunded,
               coalesce(sum(p.received_cents - p.refunded_cents)
                        filter (where p.payment_type = 'addon'), 0) as addons,
               coalesce(sum(p.amount_cents) filter (
                   where p.stripe_status in ('processing', 'requires_capture')), 0) as processing,
               coalesce(bool_or(p.disputed), false) as disputed
        from bookings b
        left join payments p on p.reference = 'booking:' || b.id and p.currency = b.currency
        where b.id = any(:ids)
        group by b.id
    ), target as (
        select b.id, m.paid, m.refunded, m.addons, m.processing, m.disputed,
               case when b.total_cents = 0 then 'paid'
                    when m.paid <= m.refunded then 'pending'
                    when m.paid - m.refunded - m.addons >= b.total_cents then 'paid'
                    when m.paid - m.refunded - m.addons >= b.deposit_cents then 'confirmed'
                    else 'pending' end as state,
               b.state as state_before
        from bookings b join money m using (id)
    ), changed as (
        update bookings b
        set paid_cents = t.paid, refunded_cents = t.refunded, addons_cents = t.addons,
            processing_cents = t.processing, disputed = t.disputed, state = t.state,
            updated_at = :now
        from target t
        where b.id = t.id
          and (b.paid_cents, b.refunded_cents, b.addons_cents, b.processing_cents, b.disputed,
               b.state)
              is distinct from (t.paid, t.refunded, t.addons, t.processing, t.disputed, t.state)
        returning b.*, t.state_before
    ), told as (
        insert into audit_log (actor, role, act, subject, details)
        select 'system', 'system', 'booking.recomputed', id, jsonb_build_object(
            'state', state, 'state_before', state_before, 'currency', currency,
            'total', total_cents + addons_cents, 'paid', paid_cents, 'refunded', refunded_cents,
            'processing', processing_cents, 'disputed', disputed)
        from changed order by id
    )
    select id as booking, paid_cents - refunded_cents - addons_cents - total_cents as overpaid
    from changed
    """
)
