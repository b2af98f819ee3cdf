"""Kill switches: a person stops effects, messages or refunds in every process, until they resume.

While effects are paused, mirrors follow Stripe as always, and the roots that would have been
recomputed are kept as arrears. Messages wait in the outbox. Of refunds, no new one is reserved.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from math import inf
from time import monotonic
from typing import Any, Final, Literal, get_args

from sqlalchemy import Row, delete, exists, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core import audit
from payments.core.db import Base
from payments.core.errors import Unavailable
from payments.core.principal import Principal

Name = Literal["effects", "messages", "refunds"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)

KNOWN_SECONDS: Final = 1.0
LATER: Final = 60
"""Seconds after which a caller may ask again."""


class Pause(Base):
    """What is paused; nothing stands here while all goes its way."""

    __tablename__ = "pauses"

    name: Mapped[str] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime]
    paused_by: Mapped[str]
    reason: Mapped[str | None]


class Arrear(Base):
    """A root whose effects were held back, and is to be recomputed."""

    __tablename__ = "arrears"

    root: Mapped[str] = mapped_column(primary_key=True)


class Switches:
    """What a process knows of the pauses: asked once a second, not once an event."""

    def __init__(self, *, known_until: float = 0.0) -> None:
        self._known_until = known_until
        self._paused: frozenset[str] = frozenset()

    @classmethod
    def ignored(cls) -> "Switches":
        """For what is to show, or to make up, all that follows."""
        return cls(known_until=inf)

    async def names(self, tx: AsyncConnection) -> frozenset[str]:
        """All that is paused."""
        if self._known_until <= monotonic():
            self._paused = frozenset((await tx.execute(select(Pause.name))).scalars())
            self._known_until = monotonic() + KNOWN_SECONDS
        return self._paused

    async def paused(self, tx: AsyncConnection, name: Name) -> bool:
        return name in await self.names(tx)

    def forget(self) -> None:
        """Look again before the second is over."""
        self._known_until = 0.0


_STATES: Final = text(
    """
    select n.name, p.name is not null as paused, p.paused_at, p.paused_by, p.reason,
           case n.name when 'effects' then (select count(*) from arrears)
                       when 'messages' then (select count(*) from outbox
                                             where not_before is not null)
                       else 0 end as waiting
    from unnest(cast(:names as text[])) with ordinality as n(name, place)
    left join pauses p using (name) order by n.place
    """
)


async def states(tx: AsyncConnection) -> Sequence[Row[Any]]:
    """Every switch, paused or not, with what waits for it to be resumed."""
    return (await tx.execute(_STATES, {"names": list(NAMES)})).all()


async def paused(tx: AsyncConnection, name: Name) -> Row[Any] | None:
    """The pause as it stands now, for those few who must not be a second late."""
    return (await tx.execute(select(Pause).where(Pause.name == name))).first()


async def pause(
    tx: AsyncConnection, who: Principal | None, name: Name, *, reason: str | None, now: datetime
) -> None:
    """Stop something; what is stopped already stays so from its first time, for the new reason."""
    by = who.user_id if who else audit.SYSTEM
    said = {"paused_by": by, "reason": reason}
    row = insert(Pause).values(name=name, paused_at=now, **said)
    await tx.execute(row.on_conflict_do_update(index_elements=[Pause.name], set_=said))
    await audit.record(tx, who, act=f"{name}.paused", subject=name, reason=reason)


async def resume(
    tx: AsyncConnection, who: Principal | None, name: Name, *, reason: str | None, now: datetime
) -> bool:
    """Let something go on; return whether it was paused. A worker makes up arrears at once."""
    ended = await tx.execute(delete(Pause).where(Pause.name == name).returning(Pause.name))
    if ended.first() is None:
        return False
    await audit.record(tx, who, act=f"{name}.resumed", subject=name, reason=reason)
    if name == "effects":
        due = "update chores set due_at = least(due_at, :now) where name = 'arrears'"
        await tx.execute(text(due), {"now": now})
    return True


async def hold_back(tx: AsyncConnection, roots: Collection[str]) -> None:
    """Keep roots, whose locks are held, to be recomputed later."""
    rows = [{"root": root} for root in sorted(roots)]
    if rows:
        await tx.execute(insert(Arrear).on_conflict_do_nothing(), rows)


async def ensure_current(tx: AsyncConnection, root: str) -> None:
    """Under its lock: what is known of a root is all booked, so a price may be built on it.

    Raises:
        Unavailable: effects are paused, or were until a moment ago.
    """
    behind = select(exists().where(Arrear.root == root))
    if (await tx.execute(behind)).scalar_one():
        raise Unavailable(
            "a payment for this has moved while effects were paused, and is not booked yet; "
            "try again once they are resumed",
            retry_after=LATER,
        )
