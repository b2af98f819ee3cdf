"""What an id stands for: the payments that it is about, and all that hangs on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from payments.core.errors import NotFound
from payments.core.principal import Principal
from payments.domains.bookings.tables import KIND, Booking
from payments.domains.checkout.tables import CheckoutSession, OpenPayable
from payments.domains.customers import users_customers
from payments.domains.disputes import Dispute
from payments.domains.payables import Payables
from payments.domains.payments import PAYMENTS, visible
from payments.domains.refunds.tables import Refund, RefundRequest
from payments.domains.timeline import billing
from payments.domains.timeline.billing import Billing
from payments.sync.inbox import StripeEvent

AT_MOST: Final = 100
"""Of each kind; nobody reads more of one booking's payments, or of one payment's refunds."""

KNOWN: Final = (
    "name a booking by its id or reference, a refund request by its id, or an object of Stripe's: "
    "a PaymentIntent (pi_…), Checkout session (cs_…), refund (re_…), dispute (dp_… or du_…), "
    "subscription (sub_…), invoice (in_…) or event (evt_…)"
)

Rows = Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What was named: `ids` are Stripe's, known here or not; `reference` is what is paid for, where
    that was named, so that all its payments are meant.
    """

    ids: frozenset[str] = frozenset()
    payments: frozenset[str] = frozenset()
    subscriptions: frozenset[str] = frozenset()
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that a timeline is about, as this caller may see them."""

    anchor: Anchor
    who: Principal
    payments: Rows
    sessions: Rows
    reservations: Rows
    requests: Rows
    refunds: Rows
    disputes: Rows
    billing: Billing
    booking: Row[Any] | None

    @property
    def objects(self) -> set[str]:
        """Ids that calls, events and messages may be about: Stripe's, and those of our rows as they
        stand in idempotency keys.
        """
        found = {str(row.id) for row in (*self.payments, *self.sessions, *self.refunds)}
        found |= {str(row.id) for row in (*self.disputes, *self.requests)}
        found |= {row.id.hex for row in self.reservations}
        found |= {row.stripe_id for row in self.reservations if row.stripe_id}
        found |= {str(row.id) for row in self.billing.invoices}
        return found | self.anchor.ids | self.anchor.payments | self.anchor.subscriptions

    @property
    def references(self) -> set[str]:
        found = {row.reference for row in (*self.payments, *self.sessions) if row.reference}
        return found | ({self.anchor.reference} if self.anchor.reference else set())


async def survey(tx: AsyncConnection, payables: Payables, *, id: str, who: Principal) -> Scope:
    """Find what an id is about.

    Raises:
        NotFound: this caller may see nothing of that name; the kinds of ids are named.
    """
    anchor = await _anchor(tx, payables, id, who)
    payments = await _payments(tx, anchor, who)
    sessions = await _sessions(tx, anchor, payments, who)
    paid = {str(row.id) for row in payments} | (anchor.payments if who.privileged else set())
    billed = await billing.survey(
        tx, who, subscriptions=anchor.subscriptions, named=anchor.ids, payments=paid
    )
    if not who.privileged:
        if not (payments or sessions or anchor.reference or billed.rows):
            raise unknown(id)
        seen = frozenset(str(row.id) for row in billed.subscriptions) & anchor.subscriptions
        anchor = Anchor(reference=anchor.reference, subscriptions=seen)
    opened: ColumnElement[bool] = OpenPayable.stripe_id.in_(paid | {row.id for row in sessions})
    if anchor.reference:
        opened = or_(opened, OpenPayable.reference == anchor.reference)
    asked = RefundRequest.payment_intent.in_(paid if who.privileged else ())
    refunded, disputed = Refund.payment_intent.in_(paid), Dispute.payment_intent.in_(paid)
    scope = Scope(
        anchor=anchor,
        who=who,
        payments=payments,
        sessions=sessions,
        reservations=await _newest(tx, OpenPayable, opened, OpenPayable.reserved_at),
        requests=await _newest(tx, RefundRequest, asked, RefundRequest.requested_at),
        refunds=await _newest(tx, Refund, refunded, Refund.created_at),
        disputes=await _newest(tx, Dispute, disputed, Dispute.created_at),
        billing=billed,
        booking=None,
    )
    return replace(scope, booking=await _booking(tx, scope))


def unknown(id: str) -> NotFound:
    return NotFound(f"nothing here is called {id!r}: {KNOWN}")


PARENTS: Final[dict[str, type[Refund | Dispute | CheckoutSession]]] = {
    "re": Refund,
    "pyr": Refund,
    "dp": Dispute,
    "du": Dispute,
    "cs": CheckoutSession,
}
"""By prefix, what names a payment of its own."""


async def _anchor(tx: AsyncConnection, payables: Payables, id: str, who: Principal) -> Anchor:
    """An event stands for its object; a session, a refund or a dispute for its payment."""
    prefix, named = id.partition("_")[0], {id}
    if prefix == "evt":
        event = select(StripeEvent.object_id).where(StripeEvent.id == id)
        id = (await tx.execute(event)).scalar_one_or_none() or id
        prefix, named = id.partition("_")[0], {id, *named}
    if prefix == "pi":
        return Anchor(ids=frozenset(named), payments=frozenset({id}))
    if prefix in ("sub", "in"):
        paying = await billing.payments_of(tx, id)
        plans = frozenset({id} if prefix == "sub" else ())
        return Anchor(ids=frozenset(named), payments=paying, subscriptions=plans)
    if (request := _uuid(id)) is not None:  # a booking's reference may look like that too
        asked = select(RefundRequest.payment_intent).where(RefundRequest.id == request)
        if payment := (await tx.execute(asked)).scalar_one_or_none():
            return Anchor(ids=frozenset(named), payments=frozenset({payment}))
    if (table := PARENTS.get(prefix)) is not None:
        parent = select(table.payment_intent).where(table.id == id)
        payment = (await tx.execute(parent)).scalar_one_or_none()
        return Anchor(ids=frozenset(named), payments=frozenset({payment} if payment else ()))
    if len(named) > 1 or prefix == "evt":
        return Anchor(ids=frozenset(named))
    return Anchor(reference=await _reference(tx, payables, id, who))


def _uuid(id: str) -> UUID | None:
    try:
        return UUID(id)
    except ValueError:
        return None


async def _reference(tx: AsyncConnection, payables: Payables, id: str, who: Principal) -> str:
    kind, _, rest = id.partition(":")
    payable = payables.get(kind) if rest else None
    try:
        if payable is not None:
            return f"{kind}:{await payable.locate(tx, id=rest, principal=who)}"
        return f"{KIND}:{await payables[KIND].locate(tx, id=id, principal=who)}"
    except NotFound as exc:
        raise unknown(id) from exc


async def _payments(tx: AsyncConnection, anchor: Anchor, who: Principal) -> Rows:
    named = PAYMENTS.c.id.in_(anchor.payments)
    if anchor.reference is not None:  # whoever sees what is paid for sees its payments
        query = select(PAYMENTS).where(PAYMENTS.c.reference == anchor.reference)
    else:
        query = visible(who).where(named)
    newest = query.order_by(PAYMENTS.c.created_at.desc(), PAYMENTS.c.id.desc())
    return (await tx.execute(newest.limit(AT_MOST))).all()


async def _sessions(tx: AsyncConnection, anchor: Anchor, payments: Rows, who: Principal) -> Rows:
    table = CheckoutSession
    found = or_(table.payment_intent.in_([row.id for row in payments]), table.id.in_(anchor.ids))
    if anchor.reference is not None:
        found = or_(found, table.reference == anchor.reference)
    elif not who.privileged:
        found = and_(found, table.customer.in_(users_customers(who.user_id)))
    return await _newest(tx, table, found, table.created_at)


async def _newest(
    tx: AsyncConnection,
    table: type[Any],
    found: ColumnElement[bool],
    at: InstrumentedAttribute[Any],
) -> Rows:
    query = select(*table.__table__.columns).where(found).order_by(at.desc(), table.id.desc())
    return (await tx.execute(query.limit(AT_MOST))).all()


async def _booking(tx: AsyncConnection, scope: Scope) -> Row[Any] | None:
    """What is paid for, if it is a booking."""
    ids = [name.removeprefix(f"{KIND}:") for name in scope.references]
    found = (await tx.execute(select(Booking).where(Booking.id.in_(ids)))).first()
    return found if found is not None and scope.who.sees(found.user_id) else None
