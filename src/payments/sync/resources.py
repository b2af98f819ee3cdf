"""Which Stripe objects are mirrored; how each is read, fetched, announced; who follows it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy import SmallInteger
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base
from payments.stripe_api.service import EVENT_TYPES, Client, ListCall
from payments.sync.checks import Check
from payments.sync.chores import Chore

SCHEMA: Final = "stripe"

# CACHE 1: a ticket taken later is larger, whichever connection takes it.
TICKET: Final = DatabaseSequence("ticket", schema=SCHEMA, cache=1, metadata=Base.metadata)

StripeObject = Mapping[str, Any]
Observed = Mapping[str, Sequence[StripeObject]]
"""Objects of one batch by resource name."""

RootsOf = Callable[[AsyncConnection, Observed], Awaitable[set[str]]]
"""Names what must be recomputed because of observations: `booking:bk_…`. It may read mirrors."""

Settle = Callable[[AsyncConnection, frozenset[str], datetime], Awaitable[None]]
"""Recomputes the roots it knows from the mirrors and posts the difference; their locks are held."""


Task = Callable[[Any, str], Awaitable[None]]
"""Finishes what a reservation began: given the `Sync` and the reservation's id, as often as it
takes.
"""


class Mirror(Base):
    """What every mirrored object has. A mirror carries no UNIQUE but its id and no foreign key: it
    accepts what Stripe says.
    """

    __abstract__ = True
    __table_args__: Any = {"schema": SCHEMA}

    id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str]
    livemode: Mapped[bool]
    phase: Mapped[int] = mapped_column(SmallInteger)
    ticket: Mapped[int]
    deleted: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def no_phase(_: StripeObject) -> int:
    """For objects whose lifecycle has no order that only grows."""
    return 0


def always(_: StripeObject) -> bool:
    """For objects that events carry as they are fetched."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource:
    """How one kind of Stripe object is mirrored.

    Attributes:
        name: Stripe's word for it, `object` on the wire.
        read: the watched columns of an object; two objects equal in these are the same state.
        list: the SDK's list call of it, newest first.
        listings: parameters of the lists that together name every object.
        open: SQL on the mirror's columns: a row of any age that may still change at Stripe.
        phase: its place in the lifecycle, a pure function that never falls along a life.
        events: the types that announce it. One that the SDK does not list fails at import.
        from_payload: whether an event's own object is trusted (by phase) or always fetched.
        whole: whether an object out of an event, or an answer to a write, has all that `read`
            wants, as a fetched one has; given whatever was sent, of any shape.
        named_by: for events whose own object is of another kind: its field that names this one.
        deletable: whether a 404 means that it was deleted.
        unannounced: columns that Stripe changes without an event; a later one brings them.
    """

    name: str
    table: type[Mirror]
    read: Callable[[StripeObject], dict[str, Any]]
    fetch: Callable[[Client, str], Awaitable[Any]]
    list: ListCall
    events: tuple[str, ...]
    listings: tuple[Mapping[str, Any], ...] = ({},)
    open: str = "false"
    phase: Callable[[StripeObject], int] = no_phase
    from_payload: bool = False
    whole: Callable[[StripeObject], bool] = always
    named_by: Mapping[str, str] = field(default_factory=dict)
    deletable: bool = False
    unannounced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := {*self.events, *self.named_by} - EVENT_TYPES:
            raise ValueError(f"Stripe sends no such event: {', '.join(sorted(unknown))}")

    @property
    def watched(self) -> tuple[str, ...]:
        """Names of the columns that make up an object's state."""
        common = set(Mirror.__annotations__)
        own = (c.name for c in self.table.__table__.columns if c.name not in common)
        return (*own, "deleted")

    @property
    def relation(self) -> str:
        """The table's full name, for SQL."""
        return f"{SCHEMA}.{self.table.__tablename__}"


@dataclass(frozen=True)
class Registry:
    """Everything that follows Stripe; built once from the slices, clashes fail loudly."""

    resources: Sequence[Resource]
    roots: Sequence[RootsOf] = ()
    settles: Sequence[Settle] = ()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    chores: Sequence[Chore] = ()
    checks: Sequence[Check] = ()
    by_name: Mapping[str, Resource] = field(init=False)
    by_event: Mapping[str, Resource] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", _unique((r.name, r) for r in self.resources))
        object.__setattr__(
            self,
            "by_event",
            _unique((e, r) for r in self.resources for e in (*r.events, *r.named_by)),
        )


def _unique(pairs: Iterable[tuple[str, Resource]]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for key, resource in pairs:
        if key in found:
            raise ValueError(f"{key} is declared by {found[key].name} and by {resource.name}")
        found[key] = resource
    return found
