"""Telling what happened to a payment; one function for the API, the command and whoever asks."""

from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core.principal import Principal
from payments.domains.payables import Payables
from payments.domains.timeline import plans, reasons, sources
from payments.domains.timeline.schemas import Entry, Explained, Timeline
from payments.domains.timeline.scope import Scope, survey, unknown


async def explain(
    ctx: Context, payables: Payables, *, id: str, who: Principal, limit: int
) -> Timeline:
    """What is known here of a payment, a booking, or what hangs on them; Stripe is not asked.

    Args:
        ctx: where to read.
        payables: what can be paid for.
        id: of a booking, of a refund request, or Stripe's of a PaymentIntent, Checkout session,
            refund, dispute, subscription, invoice or event.
        who: a user sees his own, without calls, acts and particulars.
        limit: how many entries, at most; the newest.

    Raises:
        NotFound: this caller may see nothing of that name; the kinds of ids are named.
    """
    await ctx.calls.written()
    async with ctx.db.transaction() as tx:
        scope = await survey(tx, payables, id=id, who=who)
        entries = await _entries(tx, scope, limit + 1)
        unfinished = await sources.unfinished(tx, scope)
    if not (entries or scope.references):
        raise unknown(id)
    return Timeline(
        id=id,
        explanation=reasons.of_scope(id, scope, unfinished),
        payments=[
            Explained(
                id=row.id, status=row.status, explanation=reasons.of_payment(row, scope, unfinished)
            )
            for row in scope.payments
        ],
        data=entries[-limit:],
        has_more=len(entries) > limit,
    )


async def _entries(tx: AsyncConnection, scope: Scope, limit: int) -> list[Entry]:
    """Oldest first, and the newest of each source alone."""
    messages = await sources.of_messages(tx, scope, limit)
    found = [
        *sources.of_rows(scope),
        *plans.of_invoices(scope),
        *await plans.of_plans(tx, scope, limit),
        *await plans.of_credits(tx, scope, limit),
        *await sources.of_calls(tx, scope, limit),
        *await sources.of_events(tx, scope, limit),
        *messages,
        *await sources.of_acts(tx, scope, messages, limit),
    ]
    if not scope.who.privileged:
        found = [entry.model_copy(update={"facts": {}}) for entry in found]
    return sorted(found, key=lambda entry: entry.at)
