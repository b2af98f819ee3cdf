"""Why a payment is in its state: one plain sentence."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row

from payments.core.money import display
from payments.domains.refunds.making import OPEN
from payments.domains.timeline import plans
from payments.domains.timeline.scope import Rows, Scope
from payments.domains.timeline.sources import account_of, masked

WAITING: Final = {
    "requires_action": "the customer has begun to pay {amount} and must confirm it with their bank",
    "requires_confirmation": "the customer has begun to pay {amount} and must confirm it",
}
BECAUSE: Final = {
    "requires_payment": "it waits for the customer to pay {amount}",
    "processing": "the payment of {amount} is under way at the customer's bank, and Stripe will "
    "tell how it ended",
    "requires_capture": "{amount} are held on the customer's card until somebody captures or "
    "cancels the payment in Stripe's dashboard",
    "succeeded": "{received} were received",
    "partially_refunded": "{refunded} of the {received} that were received were given back",
    "refunded": "all of the {received} that were received were given back",
    "failed": "the last attempt to pay {amount} failed with {code}{said}, and the customer may try "
    "again",
    "canceled": "it was canceled before {amount} were received, and can no longer be paid",
}


ENDED: Final = {
    "lost": "the customer's dispute over {what} was lost, and the bank has taken the money back",
    "won": "the customer's dispute over {what} was won, and the money stays",
    "warning_closed": "the bank's inquiry about {what} was closed without a dispute",
    "prevented": "a dispute over {what} was prevented",
}
UNPAID: Final = {
    "pending": "is pending at Stripe",
    "requires_action": "waits at Stripe for the customer to say where it shall go",
    "failed": "failed{why} and came back",
    "canceled": "was canceled at Stripe",
}


def of_payment(row: Row[Any], scope: Scope, unfinished: Rows) -> str:
    """Why one payment is as it is, and what is still open about it."""
    own = {
        str(one.id)
        for rows in (scope.sessions, scope.requests, scope.refunds, scope.disputes)
        for one in rows
        if one.payment_intent == row.id
    } | {str(row.id)}
    payable = row.status in ("requires_payment", "failed")
    return _sentence(
        _state(row),
        *_disputes(row.id, scope),
        *_refunds(row.id, scope),
        *(_pages(scope, own) if payable else ()),
        *(_expired(scope, own) if row.status == "canceled" else ()),
        *(_news(one, scope) for one in unfinished if one.object_id in own),
    )


def of_scope(id: str, scope: Scope, unfinished: Rows) -> str:
    """Why all that was named is as it is; a single payment speaks for itself, a subscription for
    its payments.
    """
    if said := [*plans.why(scope)]:
        return _sentence(*said, *(_news(one, scope) for one in unfinished))
    if scope.anchor.reference is None and len(scope.payments) == 1:
        return of_payment(scope.payments[0], scope, unfinished)
    return _sentence(*_named(id, scope), *(_news(one, scope) for one in unfinished))


def _named(id: str, scope: Scope) -> Iterator[str]:
    if scope.anchor.reference is not None:
        if scope.booking is not None:
            yield f"booking {scope.booking.id} is {account_of(_account(scope.booking))}"
        else:
            plural = "" if len(scope.payments) == 1 else "s"
            yield f"{scope.anchor.reference} has {len(scope.payments)} payment{plural}"
        if not scope.payments:
            yield "no payment for it has been begun"
        yield from _pages(scope, {row.id for row in scope.sessions})
    elif scope.sessions:
        yield from (f"{one.id} is {_of_session(one)}" for one in scope.sessions)
    else:
        yield f"{id} leads to no payment that is stored here"


def _sentence(*clauses: str) -> str:
    text = "; ".join(clauses)
    named = "_" in text.partition(" ")[0]  # an id keeps its small letter
    return f"{text if named else text[0].upper() + text[1:]}."


def _state(row: Row[Any]) -> str:
    template = WAITING.get(row.stripe_status) if row.status == "requires_payment" else None
    template = template or BECAUSE.get(row.status, "Stripe says {status} of it")
    return template.format(
        amount=display(row.amount_cents, row.currency),
        received=display(row.received_cents, row.currency),
        refunded=display(row.refunded_cents, row.currency),
        status=row.stripe_status,
        code=row.failure_code,
        said=f" ({row.failure_message.rstrip('.')})" if row.failure_message else "",
    )


def _account(booking: Row[Any]) -> dict[str, Any]:
    return {
        "state": booking.state,
        "currency": booking.currency,
        "total": booking.total_cents + booking.addons_cents,
        "paid": booking.paid_cents,
        "refunded": booking.refunded_cents,
        "processing": booking.processing_cents,
        "disputed": booking.disputed,
    }


def _disputes(payment: str, scope: Scope) -> Iterator[str]:
    for one in scope.disputes:
        if one.payment_intent == payment:
            template = ENDED.get(
                one.status, "the customer disputes {what}, and Stripe says {status}"
            )
            what = f"{display(one.amount, one.currency)} ({one.reason})"
            due = one.evidence_due_by
            answer = (one.status or "").endswith("needs_response") and due is not None
            until = f"; answer until {_time(due)}" if answer else ""
            yield template.format(what=what, status=one.status) + until


def _refunds(payment: str, scope: Scope) -> Iterator[str]:
    made = {one.request for one in scope.refunds}
    for one in scope.requests:
        if one.payment_intent == payment and one.state in OPEN and str(one.id) not in made:
            yield (
                f"our request to give {display(one.amount, one.currency)} back has no answer from "
                "Stripe yet, and a worker finds out"
            )
    for one in scope.refunds:
        if one.payment_intent == payment and one.status in UNPAID:
            why = f" ({one.failure_reason})" if one.failure_reason else ""
            sum = display(one.amount, one.currency)
            yield f"a refund of {sum} {UNPAID[one.status].format(why=why)}"


def _pages(scope: Scope, own: set[str]) -> Iterator[str]:
    for one in scope.sessions:
        if one.id in own and one.status == "open":
            yield f"a page is open until {_time(one.expires_at)} ({one.id})"


def _expired(scope: Scope, own: set[str]) -> Iterator[str]:
    if any(one.id in own and one.status == "expired" for one in scope.sessions):
        yield "its page expired"


def _of_session(one: Row[Any]) -> str:
    if one.status == "open":
        return f"a page that can be paid until {_time(one.expires_at)}"
    if one.status == "expired":
        return "a page that nobody paid before it expired"
    return f"a page that was completed ({one.payment_status}); its payment has not arrived here"


def _news(one: Row[Any], scope: Scope) -> str:
    what = {"fetch": f"a look at {one.object_id}", "task": f"work on {one.resource}"}
    news = what.get(one.type, f"an event about it ({one.type}, {one.id})")
    if not scope.who.privileged:
        return "news about it has not been processed yet"
    why = (masked(one.error) or "").rstrip(".")
    if one.state == "dead":
        return f"{news} was given up after {one.attempts} attempts because {why}"
    if one.state == "postponed":
        return f"{news} failed and is tried again at {_time(one.not_before)} because {why}"
    return f"{news} waits for a worker"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
