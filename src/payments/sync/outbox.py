"""The outbox: messages to people, written with the change that causes them, sent by a worker, each
at least once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson
from sqlalchemy import ARRAY, CheckConstraint, Index, Text, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.telemetry import MESSAGES, alert
from payments.settings import Template
from payments.sync import queue
from payments.sync.queue import CHANNEL, LOCK, Work

Audience = Literal["customer", "admin"]


class Outgoing(Work):
    """A message; its id is the key of what caused it, so the same cause is told once.

    `delivered` names the sinks and addresses that have it already.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_due", "not_before", postgresql_where=text("not_before is not null")),
        CheckConstraint("audience in ('customer', 'admin')", name="audience"),
    )

    template: Mapped[str]
    audience: Mapped[str]
    recipient: Mapped[str | None]
    about: Mapped[str] = mapped_column(index=True)
    facts: Mapped[dict[str, Any]]
    caused_at: Mapped[datetime]
    delivered: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")


@dataclass(frozen=True, slots=True)
class Message:
    """Something to tell.

    Attributes:
        key: names the cause: `payment_failed:pi_…:ch_…`.
        audience: a customer by mail, or the admins by every sink.
        about: id of the payment that it concerns, or of another object at Stripe.
        facts: what the template says; amounts in minor units, times in ISO 8601.
        recipient: the customer's address.
        caused_at: when the object was made at Stripe; now, when left out.
    """

    key: str
    template: Template
    audience: Audience
    about: str
    facts: Mapping[str, Any]
    recipient: str | None = None
    caused_at: datetime | None = None


_ENQUEUE: Final = text(
    f"""
    with added as (
        insert into outbox
            (id, template, audience, recipient, about, facts, caused_at, not_before)
        select m.key, m.template, m.audience, m.recipient, m.about, m.facts,
               coalesce(m.caused_at, now()), now()
        from jsonb_to_recordset(cast(:messages as jsonb)) as m(key text, template text,
             audience text, recipient text, about text, facts jsonb, caused_at timestamptz)
        order by m.key
        on conflict (id) do nothing
        returning 1
    )
    select pg_notify('{CHANNEL}', '') from added limit 1
    """  # noqa: S608 - a constant
)


async def enqueue(tx: AsyncConnection, messages: Sequence[Message]) -> None:
    """Tell people, once this transaction commits; what has been told under the same key is not."""
    if messages:
        rows = orjson.dumps([asdict(message) for message in messages]).decode()
        await tx.execute(_ENQUEUE, {"messages": rows})


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this worker is to send; `stale` when its cause lies before EFFECTS_SINCE.
    `link` is where its reader can act, where that is asked of Stripe each time, and kept nowhere.
    """

    id: str
    template: str
    audience: str
    recipient: str | None
    about: str
    facts: Mapping[str, Any]
    received_at: datetime
    delivered: Sequence[str]
    attempts: int
    generation: int
    stale: bool
    link: str | None = None


# Stripe's times are whole seconds.
_CLAIM: Final = text(
    f"""
    select id, template, audience, recipient, about, facts, received_at, delivered, attempts,
           generation,
           coalesce(caused_at < date_trunc('second', coalesce(
               cast(:since as timestamptz), (select stamped_at from installation))), false)
    from outbox where not_before <= now() {LOCK}
    """  # noqa: S608 - a constant
)


async def claim(tx: AsyncConnection, *, limit: int, since: datetime | None) -> list[Claimed]:
    """Lease due messages.

    Args:
        tx: the transaction to claim in.
        limit: how many, at most.
        since: causes before this are not told; None is when this database met its Stripe account.
    """
    found = (await tx.execute(_CLAIM, {"limit": limit, "since": since})).all()
    claimed = [Claimed(*row) for row in found]
    if claimed:
        await queue.lease(tx, Outgoing, claimed)
    return claimed


async def note(tx: AsyncConnection, row: Claimed, delivered: Collection[str]) -> None:
    """Write down who has the message."""
    await tx.execute(
        text(
            "update outbox set delivered = array(select distinct unnest("
            "delivered || cast(:delivered as text[])) order by 1) where id = :id"
        ),
        {"delivered": sorted(delivered), "id": row.id},
    )


async def finish(tx: AsyncConnection, row: Claimed, outcome: str) -> None:
    await queue.finish(tx, Outgoing, [row], outcome)
    MESSAGES.labels(template=row.template, outcome=outcome).inc()


async def postpone(tx: AsyncConnection, row: Claimed, exc: Exception, *, own_fault: bool) -> None:
    """Give a message back; after 12 faults of its own and 72 h it is dead: kept and alerted."""
    dead = await queue.postpone(tx, Outgoing, row, exc, own_fault=own_fault, patience=15)
    MESSAGES.labels(template=row.template, outcome="dead" if dead else "postponed").inc()
    if dead:
        alert("dead_message", "a message was given up", id=row.id, error=queue.reason(exc))
