"""The ledger's acts: grant, set a target, spend, expire; each posts the difference to what should
be, under the account's lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.audit import SYSTEM
from payments.core.errors import Problem
from payments.core.telemetry import CREDITS
from payments.domains.credits.book import Book, Lot, Move
from payments.domains.credits.tables import CreditAccount, CreditLot, CreditType


class InsufficientCredits(Problem):
    """There are not enough credits."""

    status, code = 409, "insufficient_credits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a cause is to grant.

    Attributes:
        source: names the cause, for all users: `payment:pi_…`, `invoice:in_…:il_…`.
        credits: the whole of it; what was granted before under the same source counts.
        basis: what was bought and for how much; kept as it was when the cause came up first.
    """

    source: str
    credits: int
    credit_type: CreditType
    expires_at: datetime | None = None
    basis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What stands on the entries of one act."""

    now: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    principal: str = SYSTEM
    reference: str | None = None
    reason: str | None = None


async def grant(tx: AsyncConnection, user: str, given: Grant, note: Note) -> None:
    """Have a cause's credits be there. The same source again changes nothing; with another number
    the difference is posted, with another end the lot ends then.

    The caller holds the account's root, see `root_of`.
    """
    await _ensure_account(tx, user, note.now)
    added = (
        insert(CreditLot)
        .values(
            user_id=user, source=given.source, credit_type=given.credit_type, granted=0,
            target=0, expires_at=given.expires_at, basis=dict(given.basis), created_at=note.now,
        )
        .on_conflict_do_update(
            index_elements=[CreditLot.source],
            set_={"expires_at": given.expires_at},
            where=CreditLot.expires_at.is_distinct_from(given.expires_at),
        )
    )  # fmt: skip
    await tx.execute(added)
    await set_target(tx, given.source, given.credits, note)


async def set_target(tx: AsyncConnection, source: str, credits: int, note: Note) -> None:
    """Have a cause that has granted be worth so many credits, from none to as many as you like.

    Less is clawed back, from its own lot, be it what ran out there unused, then from those that
    end first; what is not there is owed. More gives back what was clawed back, and grants what goes
    beyond.
    """
    query = select(CreditLot, CreditAccount.debt).join(CreditAccount)
    query = query.where(CreditLot.source == source)
    lot = (await tx.execute(query.with_for_update())).one()
    if lot.target == credits:
        return
    taken = await _taken(tx, source) if lot.target < lot.granted else {}
    book = await _open(tx, lot.user_id, lot.debt, note.now, besides=[lot.id, *taken])
    granted = max(lot.granted, credits)
    change = {"target": credits, "granted": granted}
    await tx.execute(update(CreditLot).where(CreditLot.id == lot.id).values(**change))
    if credits < lot.target:
        book.claw_back(source, lot.target - credits, lot.id, await _expired(tx, lot.id))
    elif back := min(credits, lot.granted) - lot.target:
        book.reinstate(source, back, taken)
    if granted > lot.granted:
        book.grant(source, granted - lot.granted, lot.id)
    await _post(tx, lot.user_id, book.moves, source, note)


async def spend(tx: AsyncConnection, user: str, source: str, amount: int, note: Note) -> None:
    """Use credits, those first that end first: an entry a lot.

    Raises:
        InsufficientCredits: there are fewer; nothing is changed.
    """
    book = await _open(tx, user, await _locked_debt(tx, user), note.now)
    if book.balance < amount:
        raise InsufficientCredits(
            f"{amount} credits are wanted, and {book.balance} are there; spend at most those, or "
            "add some first",
            balance=book.balance,
            amount=amount,
        )
    book.spend(source, amount)
    await _post(tx, user, book.moves, source, note)


async def expire(tx: AsyncConnection, user: str, now: datetime) -> None:
    """Post the end of the lots whose time is over."""
    book = await _open(tx, user, await _locked_debt(tx, user), now)
    await _post(tx, user, book.moves, "expiry", Note(now=now))


async def _ensure_account(tx: AsyncConnection, user: str, now: datetime) -> None:
    row = insert(CreditAccount).values(user_id=user, created_at=now)
    await tx.execute(row.on_conflict_do_nothing())


async def _locked_debt(tx: AsyncConnection, user: str) -> int:
    query = select(CreditAccount.debt).where(CreditAccount.user_id == user).with_for_update()
    return int((await tx.execute(query)).scalar_one_or_none() or 0)


async def _open(
    tx: AsyncConnection, user: str, debt: int, now: datetime, *, besides: Sequence[int] = ()
) -> Book:
    """The account as it is behind its lock, with nothing in it that is over; `besides` are lots
    that matter although they are empty.
    """
    bound = {"user": user, "besides": list(besides)}
    lots = {row.id: Lot(*row) for row in await tx.execute(_LOTS, bound)}
    owed = await tx.execute(_DEBTS, {"user": user}) if debt else ()
    book = Book(lots, {row.source: row.owed for row in owed}, now)
    book.expire()
    return book


_LOTS: Final = text(
    """
    select id, remaining, expires_at from credit_lots where user_id = :user and remaining > 0
    union select id, remaining, expires_at from credit_lots where id = any(:besides)
    """
)
_DEBTS: Final = text(
    """
    select source, -sum(amount)::bigint as owed from credit_entries
    where user_id = :user and lot is null
    group by source having sum(amount) < 0 order by min(id)
    """
)
_TAKEN: Final = text(
    """
    select lot, -sum(amount)::bigint as taken from credit_entries
    where source = :source and kind in ('claw_back', 'reinstatement')
    group by lot having sum(amount) < 0
    """
)


async def _taken(tx: AsyncConnection, source: str) -> dict[int, int]:
    """What a cause has clawed back and not given back, lot by lot."""
    return {row.lot: row.taken for row in await tx.execute(_TAKEN, {"source": source})}


_EXPIRED: Final = text(
    "select coalesce(-sum(amount), 0)::bigint from credit_entries where source = :source"
)


async def _expired(tx: AsyncConnection, lot: int) -> int:
    """What of a lot has run out unused, less what was clawed back of that."""
    return int((await tx.execute(_EXPIRED, {"source": f"expiry:{lot}"})).scalar_one())


_POST: Final = text(
    """
    insert into credit_entries (user_id, source, n, cause, kind, amount, lot, reference, reason,
                                metadata, principal, created_at)
    select :user, m.source,
           coalesce((select max(e.n) from credit_entries e where e.source = m.source), 0)
               + row_number() over (partition by m.source order by m.place),
           :cause, m.kind, m.amount, m.lot, own.reference, own.reason,
           coalesce(own.metadata, '{}'), :principal, :now
    from jsonb_to_recordset(cast(:moves as jsonb))
         as m(place bigint, source text, kind text, amount bigint, lot bigint)
    left join jsonb_to_record(cast(:note as jsonb))
         as own(reference text, reason text, metadata jsonb) on m.source = :cause
    order by m.place
    """
)


async def _post(
    tx: AsyncConnection, user: str, moves: Sequence[Move], cause: str, note: Note
) -> None:
    """Write what an act has moved; what its cause's own entries say, the others do not."""
    if not moves:
        return
    rows = [{"place": place, **asdict(move)} for place, move in enumerate(moves)]
    own = {name: getattr(note, name) for name in ("reference", "reason", "metadata")}
    bound = {"moves": orjson.dumps(rows).decode(), "note": orjson.dumps(own).decode()}
    about = {"cause": cause, "principal": note.principal, "now": note.now}
    await tx.execute(_POST, {"user": user, **about, **bound})
    for move in moves:
        CREDITS.labels(kind=move.kind).inc(abs(move.amount))
