"""The balance check: what the mirrors say was received and given back, against Stripe's balance
transactions, by source and to the cent.

A charge's transactions add up to what its payment has received, a refund's to what it gave back; a
refund that failed has two that cancel out. Only what does not fit at first sight is asked for one
by one. Disputes move money of their own and are compared as objects.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import text

from payments.core.schemas import END
from payments.domains.payments import PAYMENT_INTENT
from payments.domains.refunds.tables import REFUND
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import ListCall
from payments.sync.apply import Observation
from payments.sync.checks import Check
from payments.sync.observe import look, pages
from payments.sync.reconcile import confirm
from payments.sync.reconcile.compare import Mismatch, awaited
from payments.sync.reconcile.runs import Round

NAME: Final = "balance"
SLICE_SECONDS: Final = 24 * 60 * 60
"""What is held in memory is the movements of a day."""
SOURCES: Final = ("charge", "refund")


@dataclass(slots=True)
class Movements:
    """What the balance transactions of a time moved, by charge and by refund."""

    sources: dict[str, Mapping[str, str]] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)
    newest: int = 0
    oldest: int = 0

    def goes_on(self, transaction: Mapping[str, Any]) -> bool:
        """Whether a transaction, no newer than the last, belongs to the same slice of time."""
        made = int(transaction["created"])
        return made == self.oldest or made > self.newest - SLICE_SECONDS

    def enter(self, transaction: Mapping[str, Any]) -> None:
        source, self.oldest = transaction["source"], int(transaction["created"])
        self.newest = self.newest or self.oldest
        if not isinstance(source, Mapping) or source["object"] not in SOURCES:
            return
        if source.get("payment_intent") is not None:
            self.sources[source["id"]] = {
                "kind": source["object"],
                "status": source["status"],
                "payment": source["payment_intent"],
            }
            self.moved[source["id"]] += in_currency_of(source, transaction)

    def rows(self) -> str:
        rows = [
            {"source": id, "moved": self.moved[id], **source} for id, source in self.sources.items()
        ]
        return orjson.dumps(rows).decode()


def in_currency_of(source: Mapping[str, Any], transaction: Mapping[str, Any]) -> int:
    """What a transaction moved, in the currency of its charge or refund. Where the account settles
    in another, the sum that Stripe has exchanged is the source's own.
    """
    amount = int(transaction["amount"])
    if transaction["currency"] == source["currency"]:
        return amount
    if transaction["reporting_category"] == "partial_capture_reversal":
        return 0  # what was captured is what is left
    whole = int(source.get("amount_captured") or source["amount"])
    return whole if amount > 0 else -whole


async def check(round: Round) -> None:
    """Compare the movements since the run's window began, a day's after another's, newest first."""
    since, until, found = round.wish.since, END, Movements()
    window = {"gte": int(since.timestamp())}
    async for transaction in _transactions(round, created=window, expand=["data.source"]):
        if found.newest and not found.goes_on(transaction):
            edge = datetime.fromtimestamp(found.oldest, UTC)
            await _compare(round, found, since=edge, until=until)
            until, found = edge, Movements()
        found.enter(transaction)
        round.looked[NAME] += 1
    await _compare(round, found, since=since, until=until)


CHECKS = (Check(name=NAME, run=check),)


_DOUBTFUL: Final = text(
    """
    with moved as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
                      as m(source text, kind text, status text, payment text,
                           moved bigint)
    )
    select m.payment from moved m
    left join stripe.payment_intents i on i.id = m.payment
    where m.kind = 'charge' and i.amount_received is distinct from m.moved
    union
    select m.payment from moved m left join stripe.refunds r on r.id = m.source
    where m.kind = 'refund' and (
        r.status is distinct from m.status
        or m.moved <> case m.status when 'succeeded' then -r.amount
                                    when 'failed' then 0 when 'canceled' then 0
                                    else m.moved end)
    union
    select i.id from stripe.payment_intents i
    where i.created_at >= :since and i.created_at < :until and i.amount_received > 0
      and i.id not in (select payment from moved where kind = 'charge')
    union
    select r.payment_intent from stripe.refunds r
    where r.created_at >= :since and r.created_at < :until and r.status = 'succeeded'
      and r.payment_intent is not null and r.id not in (select source from moved)
    order by 1
    """
)


async def _compare(round: Round, found: Movements, *, since: datetime, until: datetime) -> None:
    """Compare what was moved in a time with the rows of what was moved, and of that time."""
    bound = {"rows": found.rows(), "since": since, "until": until}
    async with round.sync.db.transaction() as tx:
        doubtful = list((await tx.execute(_DOUBTFUL, bound)).scalars())
    if doubtful:
        await asyncio.sleep(confirm.GRACE_SECONDS)
    for payment in doubtful:
        await _confirm(round, payment)


@dataclass(frozen=True, slots=True)
class Sums:
    """What was received and given back for one payment, in minor units of its currency."""

    received: int
    refunded: int

    def shown(self) -> dict[str, int]:
        return {"received": self.received, "refunded": self.refunded}


async def _confirm(round: Round, payment: str) -> None:
    """Ask for everything about one payment; note and heal what still differs."""
    before = await _ours(round, payment)
    try:
        seen = await _objects(round, payment)
        booked = await _booked(round, payment, [o for o in seen if o.resource is REFUND])
    except StripeObjectMissing:
        await _note_unknown(round, payment, before)
        return
    async with round.sync.db.transaction() as tx:
        waiting = await awaited(tx, [payment, *(o.id for o in seen)])
    ours = await _ours(round, payment)
    if booked is None or waiting or ours != before or ours[0] == booked:
        return
    found = Mismatch(payment, None, ours[0].shown() if ours[0] else None, booked.shown())
    async with round.sync.db.transaction() as tx:
        await confirm.note_drift(tx, round, NAME, found)
    if round.wish.heal:
        remark = await confirm.applied(round, seen)
        healed = (await _ours(round, payment))[0] == booked
        if not healed and remark is None:
            remark = "Stripe's objects and its balance disagree; ask Stripe"
        async with round.sync.db.transaction() as tx:
            await confirm.conclude(tx, round, NAME, payment, healed=healed, remark=remark)


async def _note_unknown(round: Round, payment: str, before: tuple[Sums | None, int]) -> None:
    """Name a payment that Stripe does not know; its row stays, as those of its kind do."""
    if before[0] is None or await _ours(round, payment) != before:
        return
    found = Mismatch(payment, None, before[0].shown(), None)
    async with round.sync.db.transaction() as tx:
        await confirm.note_drift(tx, round, NAME, found)
        remark = confirm.UNDELETABLE
        await confirm.conclude(tx, round, NAME, payment, healed=False, remark=remark)


_OURS: Final = text(
    """
    select i.amount_received as received,
           (select coalesce(sum(r.amount), 0) from stripe.refunds r
            where r.payment_intent = i.id and r.status = 'succeeded')::bigint as refunded,
           greatest(i.ticket, (select max(r.ticket) from stripe.refunds r
                               where r.payment_intent = i.id)) as ticket
    from stripe.payment_intents i where i.id = :id
    """
)


async def _ours(round: Round, payment: str) -> tuple[Sums | None, int]:
    """What the mirrors add up to, and the newest ticket among them."""
    async with round.sync.db.transaction() as tx:
        row = (await tx.execute(_OURS, {"id": payment})).first()
    return (Sums(row.received, row.refunded), row.ticket) if row else (None, 0)


async def _objects(round: Round, payment: str) -> Sequence[Observation]:
    """The payment and its refunds, as Stripe has them now.

    Raises:
        StripeObjectMissing: Stripe does not know the payment; nor would it list anything of it.
    """
    await round.throttle.turn()
    seen = [await look(round.sync, PAYMENT_INTENT, payment)]
    busy = round.throttle.slow_down
    async for page in pages(round.sync, REFUND, on_busy=busy, payment_intent=payment):
        await round.throttle.turn()
        seen += page
    return seen


async def _booked(round: Round, payment: str, refunds: Collection[Observation]) -> Sums | None:
    """What Stripe's balance says of a payment; None while a charge is not booked yet."""
    received = refunded = 0
    async for charge in _charges(round, payment):
        if charge["status"] != "succeeded" or not charge["captured"]:
            continue
        if charge["balance_transaction"] is None:
            return None
        received += await _moved(round, charge)
    for refund in refunds:
        if refund.object["status"] not in ("pending", "requires_action"):
            refunded -= await _moved(round, refund.object)
    return Sums(received, refunded)


async def _moved(round: Round, source: Mapping[str, Any]) -> int:
    booked = _transactions(round, source=source["id"])
    return sum([in_currency_of(source, transaction) async for transaction in booked])


def _transactions(round: Round, **params: Any) -> AsyncIterator[dict[str, Any]]:
    return _listed(round, lambda c, params: c.v1.balance_transactions.list_async(params), **params)


def _charges(round: Round, payment: str) -> AsyncIterator[dict[str, Any]]:
    of_it = {"payment_intent": payment}
    return _listed(round, lambda c, params: c.v1.charges.list_async(params), **of_it)


async def _listed(round: Round, call: ListCall, **params: Any) -> AsyncIterator[dict[str, Any]]:
    await round.throttle.turn()
    async for page in round.sync.stripe.pages(call, on_busy=round.throttle.slow_down, **params):
        for found in page:
            yield found
        await round.throttle.turn()
