"""One account in memory: which lots and which debt an act moves, and in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from payments.core.schemas import END
from payments.domains.credits.tables import Kind


@dataclass(slots=True)
class Lot:
    """What is left of a lot, and until when."""

    id: int
    remaining: int
    expires_at: datetime | None

    @property
    def use(self) -> tuple[datetime, int]:
        """First to expire, first used; then the older one."""
        return self.expires_at or END, self.id


@dataclass(frozen=True, slots=True)
class Move:
    """A line to be written: without a lot it moves the debt."""

    source: str
    kind: Kind
    amount: int
    lot: int | None


@dataclass
class Book:
    """The lots that matter now, and the open debts by source, oldest first."""

    lots: dict[int, Lot]
    debts: dict[str, int]
    now: datetime
    moves: list[Move] = field(default_factory=list)

    @property
    def usable(self) -> list[Lot]:
        """What may be spent or taken, in that order."""
        left = (lot for lot in self.lots.values() if lot.remaining and not self._is_over(lot))
        return sorted(left, key=lambda lot: lot.use)

    @property
    def balance(self) -> int:
        return sum(lot.remaining for lot in self.usable)

    def expire(self) -> None:
        """Empty the lots whose time is over."""
        for lot in sorted(self.lots.values(), key=lambda lot: lot.use):
            if lot.remaining and self._is_over(lot):
                self._move(f"expiry:{lot.id}", "expiry", -lot.remaining, lot)

    def spend(self, source: str, amount: int) -> None:
        """Use credits; there are enough."""
        assert self._draw(self.usable, amount, source, "spend") == 0

    def grant(self, source: str, amount: int, lot: int) -> None:
        """Fill a cause's lot. What older claw-backs found nothing of is taken first."""
        self._move(source, "grant", amount, self.lots[lot])
        self._pay_debts()

    def claw_back(self, source: str, amount: int, own: int, expired: int) -> None:
        """Take from the cause's own lot, then from the others; what is not there is owed. What of
        its own has `expired` unused is taken first, as though it had not: it is never lost twice.
        """
        expiry, lot = f"expiry:{own}", self.lots[own]
        expired -= sum(move.amount for move in self.moves if move.source == expiry)
        if lapsed := min(amount, expired):
            self._move(expiry, "reinstatement", lapsed, lot)
            self._move(source, "claw_back", -lapsed, lot)
            amount -= lapsed
        first = sorted(self.usable, key=lambda lot: (lot.id != own, lot.use))
        if missing := self._draw(first, amount, source, "claw_back"):
            self._owe(source, "debt", -missing)

    def reinstate(self, source: str, amount: int, taken: Mapping[int, int]) -> None:
        """Give back what a source has taken: what it is owed first, then each lot its own.

        What was taken from a lot that is over by now comes back to it, and is over as well.

        Args:
            source: the cause that is worth more again.
            amount: at most what it has taken and is owed.
            taken: what it has taken, lot by lot.
        """
        if paid := min(amount, self.debts.get(source, 0)):
            self._owe(source, "debt_payment", paid)
        left = amount - paid
        for lot in sorted((self.lots[id] for id in taken), key=lambda lot: lot.use, reverse=True):
            if part := min(left, taken[lot.id]):
                self._move(source, "reinstatement", part, lot)
                left -= part
        assert left == 0
        self._pay_debts()
        self.expire()

    def _pay_debts(self) -> None:
        """Let what is owed be taken now, each by the cause that had found nothing, as though the
        credits had been there then: so they come back should that cause be worth more again.
        """
        for source, owed in list(self.debts.items()):
            if paid := owed - self._draw(self.usable, owed, source, "claw_back"):
                self._owe(source, "debt_payment", paid)

    def _draw(self, lots: Iterable[Lot], amount: int, source: str, kind: Kind) -> int:
        """Take from lots in their order, a move a lot; return what was not there."""
        for lot in lots:
            if part := min(amount, lot.remaining):
                self._move(source, kind, -part, lot)
                amount -= part
        return amount

    def _move(self, source: str, kind: Kind, amount: int, lot: Lot) -> None:
        lot.remaining += amount
        self.moves.append(Move(source, kind, amount, lot.id))

    def _owe(self, source: str, kind: Kind, amount: int) -> None:
        self.debts[source] = self.debts.get(source, 0) - amount
        self.moves.append(Move(source, kind, amount, None))

    def _is_over(self, lot: Lot) -> bool:
        return lot.expires_at is not None and lot.expires_at <= self.now
