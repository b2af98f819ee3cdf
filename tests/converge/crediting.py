"""What happens to one credit account, and what must be there then, counted by hand."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from payments.domains.credits import Grant, Note, ledger, root_of
from payments.domains.credits.ledger import InsufficientCredits
from payments.sync.apply import locked
from service.accounts import ensure_sound
from world import World

PARTS: Final = 4
"""A payment is given back in quarters: by refunds, disputes, and what undoes them."""
Act = tuple[str, int, int]

acts = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.integers(0, 3), st.integers(1, 40)),
        st.tuples(st.just("renew"), st.integers(0, 3), st.integers(1, 40)),
        st.tuples(st.just("give_back"), st.integers(0, 7), st.integers(0, PARTS)),
        st.tuples(st.just("spend"), st.integers(0, 5), st.integers(1, 40)),
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 20)),
        st.tuples(st.just("wait"), st.integers(1, 3), st.just(0)),
    ),
    min_size=4,
    max_size=12,
)
USERS: Final = count()


@dataclass
class Account:
    """One user's account, and what is expected of it. Each act may be heard again."""

    world: World
    user: str = field(default_factory=lambda: f"u-{next(USERS)}")
    days: int = 0
    granted: dict[str, int] = field(default_factory=dict)
    ends: dict[str, datetime | None] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    paid: dict[int, datetime] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.world.clock.now() + timedelta(days=self.days)

    async def go(self, act: Act) -> None:
        name, which, number = act
        await {
            "pay": self.pay,
            "renew": self.renew,
            "give_back": self.give_back,
            "spend": self.spend,
            "add": self.add,
            "wait": self.wait,
        }[name](which, number)

    async def pay(self, which: int, number: int) -> None:
        """The first time it grants so much; heard again, it grants what it did."""
        source = f"payment:{self.user}:{which}"
        self.granted.setdefault(source, number)
        if source not in self.ends:
            self.ends[source] = self.now + timedelta(days=2 * which - 1) if which else None
        self.due.setdefault(source, number)
        await self._grant(source, self.due[source], self.ends[source])

    async def add(self, which: int, number: int) -> None:
        source = f"manual:{self.user}:{which}"
        self.granted.setdefault(source, number)
        self.due.setdefault(source, number)
        await self._grant(source, self.due[source], None)

    async def renew(self, which: int, number: int) -> None:
        """A period of a plan is paid, in whatever order; it ends when a later one was, or by
        itself. Of all of them, what they are worth and when they end is said anew.
        """
        source = self._period(which)
        self.granted.setdefault(source, number)
        self.due.setdefault(source, number)
        self.paid.setdefault(which, self.now)
        for period, paid in sorted(self.paid.items()):
            later = [at for other, at in self.paid.items() if other > period]
            self.ends[self._period(period)] = ends = min([paid + timedelta(days=5), *later])
            await self._grant(self._period(period), self.due[self._period(period)], ends)

    def _period(self, which: int) -> str:
        return f"invoice:{self.user}:{which}"

    async def give_back(self, which: int, parts: int) -> None:
        source = f"payment:{self.user}:{which}" if which < PARTS else self._period(which - PARTS)
        if source in self.granted:
            whole = self.granted[source]
            self.due[source] = whole - whole * parts // PARTS
            await self._post(
                lambda tx: ledger.set_target(tx, source, self.due[source], Note(now=self.now))
            )

    async def spend(self, which: int, number: int) -> None:
        source = f"spend:{self.user}:{which}"
        if source in self.spent:
            return

        async def use(tx: Any) -> None:
            await ledger.spend(tx, self.user, source, number, Note(now=self.now))

        usable = await self.usable()
        if usable < number:
            with pytest.raises(InsufficientCredits) as refused:
                await self._post(use)
            assert refused.value.extra["balance"] == usable
            return
        await self._post(use)
        self.spent[source] = number

    async def wait(self, days: int, _: int) -> None:
        self.days += days
        if days > 1:
            await self._post(lambda tx: ledger.expire(tx, self.user, self.now))

    async def usable(self) -> int:
        """What may be spent now, from the lots alone."""
        query = (
            "select coalesce(sum(remaining), 0)::bigint from credit_lots "
            "where user_id = $1 and (expires_at is null or expires_at > $2)"
        )
        found: int = await self.world.db.fetchval(query, self.user, self.now)
        return found

    async def check(self) -> None:
        """In the end: sums by hand, and nothing left that is over."""
        await self._post(lambda tx: ledger.expire(tx, self.user, self.now))
        await ensure_sound(self.world, self.user)
        query = "select kind, source, amount from credit_entries where user_id = $1"
        entries = await self.world.rows(query, self.user)
        spent: Counter[str] = Counter()
        worth: Counter[str] = Counter()
        over = 0
        for kind, source, amount in entries:
            if kind == "spend":
                spent[source] -= amount
            elif source.startswith("expiry:"):
                over -= amount
            else:
                worth[source] += amount
        assert (spent, worth) == (self.spent, self.due)
        balance = await self.world.db.fetchrow(
            "select balance, debt from credit_accounts where user_id = $1", self.user
        )
        assert await self.usable() == (balance["balance"] if balance else 0)
        owed = balance["debt"] if balance else 0
        assert await self.usable() - owed == sum(worth.values()) - sum(spent.values()) - over
        assert over == 0 or any(end is not None and end <= self.now for end in self.ends.values())

    async def _grant(self, source: str, number: int, ends: datetime | None) -> None:
        given = Grant(source=source, credits=number, credit_type="payg", expires_at=ends)
        await self._post(lambda tx: ledger.grant(tx, self.user, given, Note(now=self.now)))

    async def _post(self, work: Callable[[Any], Awaitable[None]]) -> None:
        async with self.world.ctx.db.transaction() as tx:
            await locked(tx, [root_of(self.user)])
            await work(tx)
