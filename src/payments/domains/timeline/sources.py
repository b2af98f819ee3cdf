"""What tells a timeline: rows of a payment's own, and what calls, events, messages and acts say."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.audit import AuditEntry
from payments.core.money import display
from payments.core.principal import Principal
from payments.domains.bookings.tables import KIND
from payments.domains.subscriptions import history
from payments.domains.timeline.schemas import Entry
from payments.domains.timeline.scope import Rows, Scope
from payments.sync.calls import StripeCall
from payments.sync.inbox import StripeEvent
from payments.sync.outbox import Outgoing
from payments.sync.selection import STATE

RECOMPUTED: Final = "booking.recomputed"
ADDRESS: Final = re.compile(r"([^\s<>@,:;])[^\s<>@,:;]*@([^\s<>@,:;]+)")
FORMS: Final = {"checkout_session": "Checkout page", "payment_intent": "payment form"}


def masked(text: str | None) -> str | None:
    """`a***@example.com`: whom a message went to is known by its booking."""
    return ADDRESS.sub(r"\1***@\2", text) if text is not None else None


def of_rows(scope: Scope) -> Iterator[Entry]:
    """What there is: pages, payments, refund requests, refunds and disputes. Stripe's times are
    whole seconds; nothing is told before our own row that it was made for.
    """
    asked_at = {row.stripe_id: row.requested_at for row in scope.requests}
    asked_at |= {row.stripe_id: row.reserved_at for row in scope.reservations}
    for row in scope.sessions:
        asked_at[row.payment_intent] = asked_at.get(row.id, row.created_at)
    for row in scope.reservations:
        yield from _page(row)
    yield from (_session(row) for row in scope.sessions if row.id not in asked_at)
    yield from map(_request, scope.requests)
    payment = partial(_payment, scope=scope)
    for tell, rows in (
        (payment, scope.payments), (_refund, scope.refunds), (_dispute, scope.disputes)
    ):  # fmt: skip
        for found in map(tell, rows):
            found.at = max(found.at, asked_at.get(found.id, found.at))
            yield found


def _payment(row: Row[Any], *, scope: Scope) -> Entry:
    named = row.reference or scope.billing.invoice_of(row.id)
    what = f" for {named}" if named else ", by another application"
    return Entry(
        at=row.created_at, kind="payment", id=row.id,
        text=f"a payment of {display(row.amount_cents, row.currency)} was begun{what}",
        facts={"status": row.status, "stripe_status": row.stripe_status},
    )  # fmt: skip


def _page(row: Row[Any]) -> Iterator[Entry]:
    page, facts = f"a {FORMS[row.form]} ({row.purpose})", {"reservation": str(row.id)}
    made = "was opened" if row.stripe_id else "was asked for; Stripe has made none yet"
    if row.closed_at is not None and row.stripe_id is None:
        made = "was asked for; Stripe made none"
    yield Entry(
        at=row.reserved_at, kind="page", id=row.stripe_id, text=f"{page} {made}", facts=facts
    )
    if row.closed_at is not None and row.stripe_id is not None:
        yield Entry(
            at=row.closed_at, kind="page", id=row.stripe_id, text=f"{page} was closed", facts=facts
        )


def _session(row: Row[Any]) -> Entry:
    return Entry(
        at=row.created_at, kind="page", id=row.id,
        text=f"a Checkout page was opened elsewhere; it is {row.status}, {row.payment_status}",
        facts={"expires_at": row.expires_at},
    )  # fmt: skip


def _request(row: Row[Any]) -> Entry:
    sum = display(row.amount, row.currency)
    names = ("state", "attempt", "reason", "requested_by", "problem", "stripe_id")
    return Entry(
        at=row.requested_at, kind="refund", id=str(row.id),
        text=f"a refund of {sum} was requested; its state is {row.state}",
        facts={name: getattr(row, name) for name in names},
    )  # fmt: skip


def _refund(row: Row[Any]) -> Entry:
    why = f" ({row.failure_reason})" if row.failure_reason else ""
    return Entry(
        at=row.created_at, kind="refund", id=row.id,
        text=f"Stripe made a refund of {display(row.amount, row.currency)}; "
        f"its state is {row.status}{why}",
        facts={"reason": row.reason, "request": row.request, "updated_at": row.updated_at},
    )  # fmt: skip


def _dispute(row: Row[Any]) -> Entry:
    return Entry(
        at=row.created_at, kind="dispute", id=row.id,
        text=f"the customer disputed {display(row.amount, row.currency)} ({row.reason}); "
        f"its state is {row.status}",
        facts={"evidence_due_by": row.evidence_due_by, "balance_effect": row.balance_effect,
               "balance_currency": row.balance_currency, "updated_at": row.updated_at},
    )  # fmt: skip


async def of_calls(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """What Stripe was asked about it; none for users."""
    if not scope.who.privileged:
        return []
    named = (StripeCall.object_id, StripeCall.payment_intent, StripeCall.reservation)
    about = or_(*(column.in_(scope.objects) for column in named))
    rows = await newest(tx, select(StripeCall).where(about), "at", limit)
    return [_call(row) for row in rows]


def _call(row: Row[Any]) -> Entry:
    answer = "no answer" if row.status is None else str(row.status)
    why = f" {row.error_code}" if row.error_code else ""
    again = f", replaying {row.original_request_id or 'an earlier one'}" if row.replayed else ""
    return entry(
        row, at="at", kind="call", id=row.stripe_request_id,
        text=f"{row.method} {row.path}: {answer}{why} after {row.milliseconds} ms{again}",
        facts=("status", "error_code", "idempotency_key", "replayed", "milliseconds", "request_id"),
    )  # fmt: skip


EVENT: Final[Sequence[Any]] = (
    StripeEvent.id, StripeEvent.type, StripeEvent.resource, StripeEvent.object_id,
    StripeEvent.received_at, StripeEvent.created_at, StripeEvent.done_at, StripeEvent.not_before,
    STATE.label("state"), StripeEvent.attempts, StripeEvent.error,
)  # fmt: skip
NOTABLE: Final = or_(StripeEvent.type != "task", StripeEvent.error.is_not(None))
"""What a reservation has scheduled, in case its own process dies, is nothing until it fails."""
OUR_WORK: Final = ("fetch", "task")


async def of_events(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """What Stripe sent about it, and what a worker was to look at or finish; users see what Stripe
    sent.
    """
    found = _events(scope)
    if not scope.who.privileged:
        found = found.where(StripeEvent.type.not_in(OUR_WORK))
    return [_event(row) for row in await newest(tx, found, "received_at", limit)]


async def unfinished(tx: AsyncConnection, scope: Scope) -> Rows:
    """A few events that are not applied: they wait, were postponed, or were given up."""
    open_ = _events(scope).where(STATE.in_(("pending", "postponed", "dead")))
    return await newest(tx, open_, "received_at", 3)


def _events(scope: Scope) -> Select[Any]:
    about = or_(StripeEvent.object_id.in_(scope.objects), StripeEvent.id.in_(scope.anchor.ids))
    return select(*EVENT).where(about, NOTABLE)


def _event(row: Row[Any]) -> Entry:
    what = {
        "fetch": f"Stripe was to be asked for {row.object_id}",
        "task": f"a worker was to finish {row.resource} {row.object_id}",
    }.get(row.type, f"{row.type} arrived")
    tried = f"after {row.attempts} failed attempts"
    done = f"{(row.done_at - row.received_at).total_seconds():.3f} s later" if row.done_at else ""
    became = {
        "applied": f"it was {'done' if row.type in OUR_WORK else 'processed'} {done}",
        "ignored": "nothing here follows it",
        "dead": f"it was given up {tried}",
        "postponed": f"it is tried again {tried}",
    }.get(row.state, "it waits for a worker")
    return entry(
        row, at="received_at", kind="event", id=row.id, text=f"{what}; {became}",
        facts=("object_id", "state", "attempts", "error", "created_at", "done_at", "not_before"),
    )  # fmt: skip


async def of_messages(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """Who was told about it; users see what customers were told, and no address but their own: who
    has taken a customer or a booking over is not to learn whose it was.
    """
    told = select(Outgoing).where(Outgoing.about.in_(scope.objects))
    if not scope.who.privileged:
        told = told.where(Outgoing.audience == "customer")
    rows = await newest(tx, told, "received_at", limit)
    return [_message(row, scope.who) for row in rows]


def _message(row: Row[Any], who: Principal) -> Entry:
    known = who.privileged or row.recipient == who.email
    to = (masked(row.recipient) if known else None) or f"the {row.audience}"
    tried = f" after {row.attempts} failed attempts" if row.attempts else ""
    when = f" at {row.done_at:%Y-%m-%d %H:%M:%S} UTC" if row.done_at else ""
    return entry(
        row, at="received_at", kind="message", id=row.id,
        text=f"{row.template} to {to}: {row.outcome or 'waiting'}{tried}{when}",
        facts=("template", "audience", "outcome", "attempts", "error", "done_at"),
    )  # fmt: skip


async def of_acts(
    tx: AsyncConnection, scope: Scope, messages: list[Entry], limit: int
) -> list[Entry]:
    """Who did what, and what followed for the booking; users see what followed."""
    bookings = {scope.booking.id} if scope.booking is not None else set()
    subjects = scope.objects | scope.references | bookings | {one.id for one in messages}
    payable = AuditEntry.details["payable"].astext  # other payments of the same booking have more
    opened = payable.in_(row.id.hex for row in scope.reservations)
    acts = select(AuditEntry).where(
        AuditEntry.subject.in_(subjects),
        AuditEntry.act != history.RECOMPUTED,
        or_(payable.is_(None), opened),
    )
    if not scope.who.privileged:
        acts = acts.where(AuditEntry.act == RECOMPUTED)
    rows = await newest(tx, acts, "at", limit)
    return [_effect(row) if row.act == RECOMPUTED else _act(row) for row in rows]


def _act(row: Row[Any]) -> Entry:
    why = f": {row.reason}" if row.reason else ""
    by = row.actor if row.actor == row.role else f"{row.role} {row.actor}"
    return Entry(
        at=row.at, kind="act", id=row.subject, text=f"{row.act} by {by}{why}",
        facts={**row.details, "request_id": row.request_id},
    )  # fmt: skip


def _effect(row: Row[Any]) -> Entry:
    before, state = row.details["state_before"], row.details["state"]
    became = "stays" if before == state else f"was {before}, and is"
    return Entry(
        at=row.at, kind="effect", id=row.subject,
        text=f"{KIND} {became} {account_of(row.details)}", facts=row.details,
    )  # fmt: skip


def account_of(told: dict[str, Any]) -> str:
    """`confirmed: $100.00 of $440.00 received, $20.00 refunded, disputed`."""
    paid, total, *others = (
        display(told[name], told["currency"])
        for name in ("paid", "total", "refunded", "processing")
    )
    words = zip(("refunded", "processing"), others, ("refunded", "on the way"), strict=True)
    rest = [f", {sum} {word}" for name, sum, word in words if told[name]]
    disputed = ", disputed" if told["disputed"] else ""
    return f"{told['state']}: {paid} of {total} received{''.join(rest)}{disputed}"


def entry(row: Row[Any], *, at: str, facts: tuple[str, ...], **said: Any) -> Entry:
    found = {name: getattr(row, name) for name in facts}
    if "error" in found:
        found["error"] = masked(found["error"])
    return Entry(at=getattr(row, at), facts=found, **said)


async def newest(tx: AsyncConnection, query: Select[Any], at: str, limit: int) -> Rows:
    """The newest rows. They are found by what they are about, whatever the planner expects of a
    walk along the times of all rows.
    """
    found = query.cte("found").prefix_with("materialized")
    ordered = select(found).order_by(found.c[at].desc(), found.c.id.desc())
    return (await tx.execute(ordered.limit(limit))).all()
