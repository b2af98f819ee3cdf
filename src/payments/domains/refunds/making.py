"""Having Stripe make a reserved refund, or finding out that it did; whoever comes next goes on."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import audit, errors
from payments.core.errors import Conflict, Problem
from payments.core.telemetry import alert
from payments.domains.payments import root_of
from payments.domains.refunds.tables import MARK, REFUND, RefundRequest
from payments.settings import STALE_KEY
from payments.stripe_api.failures import KeyReused, StripeObjectMissing
from payments.stripe_api.service import Answer, Client, options
from payments.sync import inbox, observe
from payments.sync.apply import Sync, locked

TRIED_AGAIN_AFTER: Final = 60
"""Seconds that Stripe is given to show what an error of its own has left."""
OPEN: Final = ("requested", "unknown")
REFUSALS: Final = (
    errors.StripeRejected,
    errors.CardDeclined,
    StripeObjectMissing,
    KeyReused,
)
"""Answers that Stripe gave after a look at the request: this try made no refund. A refused key says
nothing of the kind, for it is no answer to the request.
"""


async def find(tx: AsyncConnection, id: UUID) -> Row[Any]:
    return (await tx.execute(select(RefundRequest).where(RefundRequest.id == id))).one()


async def carry_out(sync: Sync, row: Row[Any]) -> None:
    """Have Stripe make a reserved refund, or find out that it did. Without a clear answer the
    reservation stays, and there is no error.

    Raises:
        Problem: Stripe refused; the reservation is over.
    """
    if row.state == "rejected":
        raise _told_again(row.problem)
    if row.state not in OPEN:
        return
    if row.requested_at < sync.clock.now() - STALE_KEY:
        await _give_up(sync, row)
        return
    number = await observe.ticket(sync.db)
    try:
        answer = await sync.stripe.call(lambda c: _create(c, row))
    except REFUSALS as exc:
        await _refused(sync, row, exc)
    except Problem as exc:
        await _doubt(sync, row, exc)
    else:
        await _made(sync, row, answer, number)


async def _create(client: Client, row: Row[Any]) -> Any:
    return await client.v1.refunds.create_async(
        row.params, options(f"refund:{row.id}:{row.attempt}")
    )


async def _made(sync: Sync, row: Row[Any], answer: Answer, number: int) -> None:
    try:
        await observe.take(sync, REFUND, answer, number)
    except Problem:  # it is there; only what has become of it could not be read
        await _wait(sync, row, state="unknown", attempt=row.attempt)
        return
    await _seen_to(sync, row)


async def _refused(sync: Sync, row: Row[Any], exc: Problem) -> None:
    """A refusal speaks of its own try; where an earlier one is unclear, it may have made the
    refund.
    """
    try:
        found = row.state == "unknown" and await _left(sync, row)
    except Problem:
        await _wait(sync, row, state="unknown", attempt=row.attempt)
        return
    if found:
        await _seen_to(sync, row)
        return
    await _reject(sync, row, exc)
    raise exc


async def _doubt(sync: Sync, row: Row[Any], exc: Problem) -> None:
    """No clear answer. Stripe replays an error of its own to the same key, so that what it left is
    looked for; a worker tries again, with the next key where this one has been answered.
    """
    attempt = row.attempt
    if exc.answered and type(exc) is errors.StripeFailed:
        try:
            if await _left(sync, row):
                await _seen_to(sync, row)
                return
            attempt += 1
        except Problem:
            pass  # the same key once more: it only replays its error, and we list again
    busy = isinstance(exc, errors.StripeBusy)
    await _wait(sync, row, state=row.state if busy else "unknown", attempt=attempt)


async def _wait(sync: Sync, row: Row[Any], *, state: str, attempt: int) -> None:
    async with sync.db.transaction() as tx:
        await tx.execute(
            update(RefundRequest)
            .where(
                RefundRequest.id == row.id,
                RefundRequest.state.in_(OPEN),
                RefundRequest.attempt == row.attempt,
            )
            .values(state=state, attempt=attempt, updated_at=sync.clock.now())
        )


async def _left(sync: Sync, row: Row[Any]) -> bool:
    """Whether Stripe has made the refund after all, found by listing: a search would lag."""
    mark = (MARK, str(row.id))
    found = await observe.find(sync, REFUND, mark=mark, payment_intent=row.payment_intent)
    return found is not None


async def _give_up(sync: Sync, row: Row[Any]) -> None:
    """Stripe has forgotten the key by now: sending it again could make a second refund."""
    if await _left(sync, row):
        await _seen_to(sync, row)
        return
    problem = Conflict("the refund did not reach Stripe within 23 hours; request it again")
    await _reject(sync, row, problem)
    alert("refund_given_up", str(problem), request=str(row.id), payment=row.payment_intent)
    raise problem


async def _reject(sync: Sync, row: Row[Any], exc: Problem) -> None:
    told = {"kind": type(exc).__name__, "detail": exc.detail, **exc.extra}
    async with sync.db.transaction() as tx:
        await locked(tx, [root_of(row.payment_intent)])
        ended = await tx.execute(
            update(RefundRequest)
            .where(RefundRequest.id == row.id, RefundRequest.state.in_(OPEN))
            .values(state="rejected", problem=told, updated_at=sync.clock.now())
            .returning(RefundRequest.id)
        )
        await inbox.call_off(tx, task=MARK, id=str(row.id))
        if ended.first() is not None:
            await audit.record(
                tx, None, act="refund.rejected", subject=row.payment_intent, reason=exc.detail,
                request=str(row.id),
            )  # fmt: skip


def _told_again(problem: Mapping[str, Any]) -> Problem:
    kinds = {kind.__name__: kind for kind in (*REFUSALS, Conflict)}
    extra = {name: value for name, value in problem.items() if name not in ("kind", "detail")}
    return kinds.get(problem["kind"], Conflict)(problem["detail"], **extra)


async def _seen_to(sync: Sync, row: Row[Any]) -> None:
    async with sync.db.transaction() as tx:
        await inbox.call_off(tx, task=MARK, id=str(row.id))


async def see_to(sync: Sync, id: str) -> None:
    """The worker's turn: finish a request that its own process has not.

    Raises:
        Problem: not yet; it is tried again later.
    """
    async with sync.db.transaction() as tx:
        row = await find(tx, UUID(id))
    with suppress(Problem):  # what it says is written down, or found out below
        await carry_out(sync, row)
    async with sync.db.transaction() as tx:
        if (await find(tx, row.id)).state in OPEN:
            raise errors.StripeFailed(
                "Stripe has not said yet what became of the refund", retry_after=TRIED_AGAIN_AFTER
            )


TASKS: Final = {MARK: see_to}
