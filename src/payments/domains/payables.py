"""The port between money and what it pays for: who sets a price, and who hears that it was paid.

A *reference* names one payable object: `booking:bk_…`. Checkout, PaymentIntents and invoices know
only offers; the browser never sets a price.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import NotFound
from payments.core.money import Money
from payments.core.principal import Principal
from payments.sync.resources import Settle

APP: Final = "payments"
"""`metadata.app` of everything we make at Stripe; objects of other applications are mirrored, but
change nothing of ours."""

Purpose = Literal["deposit", "balance", "addon", "full"]


@dataclass(frozen=True, slots=True)
class Recurring:
    """What makes an offer a plan: its price at Stripe, which is charged every period."""

    price: str
    quantity: int
    trial_days: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be charged for a reference now.

    Attributes:
        owner: the user who pays.
        email: where Stripe sends the receipt.
        due: the most that may be charged besides addons; a named amount never exceeds it.
        discountable: whether a promotion code may lower what is paid; not where the rest would
            stay due.
        metadata: what the payment says at Stripe beside our own keys.
        recurring: the plan, where it is one; `money` is then what a period costs.
    """

    owner: str
    purpose: Purpose
    money: Money
    due: Money
    description: str
    email: str | None = None
    expires_at: datetime | None = None
    discountable: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    recurring: Recurring | None = None


@runtime_checkable
class Payable(Protocol):
    """A kind of thing that can be paid for."""

    kind: str

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        """The canonical id of what a caller names, by id or by a reference of his own.

        Raises:
            NotFound: there is none, or this principal may not see it.
        """
        ...

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        """Price one object for one purpose; the caller holds the lock of its reference.

        Raises:
            NotFound: there is none, or this principal may not see it.
            Conflict: nothing is due for this purpose.
        """
        ...

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        """Recompute these objects from the payments now linked to them; their locks are held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """So many of a product, for somebody; `trial_days` where a plan's own are not to count."""

    product: str
    quantity: int
    user: str
    email: str | None
    trial_days: int | None = None


@runtime_checkable
class Shop(Payable, Protocol):
    """A payable that comes into being when it is ordered."""

    async def order(self, tx: AsyncConnection, order: Order, *, now: datetime) -> str:
        """The id of what is to be paid: the same for the same order, until it is.

        Raises:
            Invalid: there is no such product, or it is not sold like this.
        """
        ...


Payables = Mapping[str, Payable]


async def _payables(request: Request) -> Payables:
    found: Payables = request.app.state.payables
    return found


Offered = Annotated[Payables, Depends(_payables)]


def payable_for(reference: str, payables: Payables) -> tuple[Payable, str]:
    kind, _, id = reference.partition(":")
    if kind not in payables:
        raise NotFound(f"nothing here is called {kind!r}")
    return payables[kind], id


def reference_of(object: Mapping[str, Any]) -> str | None:
    """The reference that an object of ours was made for; None for another application's."""
    metadata = object.get("metadata") or {}
    return metadata.get("reference") if metadata.get("app") == APP else None


def settles(payables: Payables) -> Settle:
    """Tell each payable about its own roots."""

    async def settle(tx: AsyncConnection, roots: frozenset[str], now: datetime) -> None:
        for kind, payable in payables.items():
            ids = {root.removeprefix(f"{kind}:") for root in roots if root.startswith(f"{kind}:")}
            if ids:
                await payable.paid(tx, ids=ids, now=now)

    return settle
