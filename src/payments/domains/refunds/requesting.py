"""Asking for money back: what may be given back is reserved before Stripe is called."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit, errors, idempotency
from payments.core.errors import Conflict, Invalid
from payments.core.idempotency import Repeatable
from payments.core.money import Money, display, minor
from payments.core.principal import Principal
from payments.domains.payables import APP
from payments.domains.payments import PAYMENT_INTENT, PaymentIntent, root_of
from payments.domains.refunds.making import carry_out, find
from payments.domains.refunds.schemas import RefundCreate
from payments.domains.refunds.tables import MARK, RefundRequest
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync import inbox, observe, switches
from payments.sync.apply import Sync, locked

SEEN_TO_AFTER: Final = 60
"""Seconds after which a worker finishes what this process has not."""
EQUAL_WITHIN: Final = timedelta(seconds=60)


async def request_refund(
    ctx: Context, body: RefundCreate, who: Principal, key: Repeatable | None
) -> UUID:
    """Reserve a refund, have Stripe make it, and return the request's id; its row tells how far it
    came. A repeated key continues the request that it stands for.

    Raises:
        NotFound: there is no such payment.
        Conflict: nothing is there to be given back, or the same was requested a moment ago.
        Invalid: more than is left.
        Unavailable: refunds are paused; what was reserved before is still carried out.
        Problem: Stripe refused. Where the outcome is unknown there is no error: a worker finds out.
    """
    await _know(ctx.sync, body.payment_id)
    async with idempotency.held(ctx.db, key):
        async with ctx.db.transaction() as tx:
            row = await _reserve(tx, ctx, body, who, key)
        await carry_out(ctx.sync, row)
    return UUID(str(row.id))


async def _know(sync: Sync, id: str) -> None:
    """Have the payment here as it is now, although its events may still be on their way."""
    async with sync.db.transaction() as tx:
        received = select(PaymentIntent.amount_received).where(PaymentIntent.id == id)
        if (await tx.execute(received)).scalar_one_or_none():
            return
    missing = errors.NotFound(f"there is no payment {id!r}")
    if not id.startswith("pi_"):
        raise missing
    try:
        await observe.refresh(sync, PAYMENT_INTENT, id)
    except (StripeObjectMissing, errors.StripeRejected) as exc:
        raise missing from exc


async def _reserve(
    tx: AsyncConnection, ctx: Context, body: RefundCreate, who: Principal, key: Repeatable | None
) -> Row[Any]:
    now = ctx.clock.now()
    await locked(tx, [root_of(body.payment_id)])
    earlier = await idempotency.claim(tx, key, now=now)
    if earlier is not None:
        return await find(tx, UUID(earlier))
    await _refuse_paused(tx)
    money = await _refundable(tx, body)
    if key is None:
        await _refuse_equal(tx, body.payment_id, money, since=now - EQUAL_WITHIN)
    id = uuid4()
    added = insert(RefundRequest).values(
        id=id, payment_intent=body.payment_id, amount=money.amount, currency=money.currency,
        params=_params(id, body, money), reason=body.reason, requested_by=who.user_id,
        requested_at=now, updated_at=now, state="requested",
    )  # fmt: skip
    row = (await tx.execute(added.returning(RefundRequest))).one()
    await idempotency.bind(tx, key, str(id))
    await inbox.schedule(tx, task=MARK, id=str(id), seconds=SEEN_TO_AFTER)
    await audit.record(
        tx, who, act="refund.requested", subject=body.payment_id, reason=body.reason,
        request=str(id), amount=money.amount, currency=money.currency,
    )  # fmt: skip
    return row


async def _refuse_paused(tx: AsyncConnection) -> None:
    if (pause := await switches.paused(tx, "refunds")) is not None:
        why = f": {pause.reason}" if pause.reason else ""
        raise errors.Unavailable(
            f"refunds are paused{why}; nothing was refunded, and nothing will be until an admin "
            "resumes them",
            retry_after=switches.LATER,
        )


_LEFT: Final = text(
    """
    select i.status, i.currency, i.amount_received,
           (i.amount_received - (
               select coalesce(sum(r.amount), 0) from stripe.refunds r
               where r.payment_intent = i.id
                 and coalesce(r.status, '') not in ('failed', 'canceled')
           ) - (
               select coalesce(sum(q.amount), 0) from refund_requests q
               where q.payment_intent = i.id and q.state in ('requested', 'unknown')
                 and not exists (select from stripe.refunds r
                                 where r.payment_intent = i.id and r.request = q.id::text)
           ))::bigint as amount
    from stripe.payment_intents i where i.id = :id
    """
)


async def _refundable(tx: AsyncConnection, body: RefundCreate) -> Money:
    """What this request may give back, under the payment's lock."""
    left = (await tx.execute(_LEFT, {"id": body.payment_id})).one()
    if not left.amount_received:
        raise Conflict(
            f"payment {body.payment_id} is {left.status}: nothing was received, so nothing can be "
            "given back; a payment that is not paid yet can be canceled"
        )
    if left.amount <= 0:
        raise Conflict(
            f"all {display(left.amount_received, left.currency)} of payment {body.payment_id} were "
            "given back, or are being given back"
        )
    amount = left.amount if body.amount_cents is None else body.amount_cents
    if body.amount is not None:
        amount = minor(body.amount, left.currency)
    if not 0 < amount <= left.amount:
        raise Invalid(
            f"{amount} ({display(amount, left.currency)}) is more than is left to give back: send "
            f"at most {left.amount} ({display(left.amount, left.currency)}) as amount_cents"
        )
    return Money(amount, left.currency)


async def _refuse_equal(tx: AsyncConnection, payment: str, money: Money, *, since: Any) -> None:
    """Two clicks are no two refunds."""
    query = select(RefundRequest.id).where(
        RefundRequest.payment_intent == payment,
        RefundRequest.amount == money.amount,
        RefundRequest.requested_at > since,
        RefundRequest.state != "rejected",
    )
    if (first := (await tx.execute(query)).scalars().first()) is not None:
        raise Conflict(
            f"the same refund of {money} was requested less than a minute ago ({first}); if you "
            "mean another one, send an Idempotency-Key of its own",
            refund=str(first),
        )


def _params(id: UUID, body: RefundCreate, money: Money) -> dict[str, Any]:
    metadata = {"app": APP, MARK: str(id)}
    if body.reason and body.stripes_reason is None:
        metadata["comment"] = body.reason
    params: dict[str, Any] = {
        "payment_intent": body.payment_id,
        "amount": money.amount,
        "metadata": metadata,
    }
    if body.stripes_reason:
        params["reason"] = body.stripes_reason
    return params
