"""Monthly recurring revenue: exact fractions of minor units, rounded once.

What counts are subscriptions that are active or past due and whose collection is not paused. Trials
bring nothing yet; unpaid, paused and incomplete ones are not being paid.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core import money
from payments.domains.numbers.schemas import Recurring

MONTHLY: Final = {
    "day": Fraction(365, 12),
    "week": Fraction(52, 12),
    "month": Fraction(1),
    "year": Fraction(1, 12),
}
"""How often a bill of an interval comes in a month."""

Json = Mapping[str, Any]

# Equal subscriptions are one row: there are few plans, quantities and coupons. Most have one item,
# whose array is three times as fast to build by itself.
_SHAPES: Final = text(
    """
    select currency, discounts, items, count(*) as subscriptions
    from (
        select s.currency, s.discounts,
               case jsonb_array_length(s.items)
                   when 1 then jsonb_build_array((s.items -> 0) - cast(:own as text[]))
                   else (select jsonb_agg(i - cast(:own as text[]))
                         from jsonb_array_elements(s.items) as i) end as items
        from stripe.subscriptions s
        where s.status in ('active', 'past_due') and s.pause_collection is null and not s.deleted
    ) as shapes
    group by currency, discounts, items
    """
)
_OWN: Final = ["id", "current_period_start", "current_period_end"]


@dataclass
class Sums:
    """Recurring revenue of some subscriptions, by currency, and how many bring how much is not
    known.
    """

    monthly: defaultdict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    counted: Counter[str] = field(default_factory=Counter)
    unknown: int = 0

    def add(self, currency: str, each: Fraction | None, times: int) -> None:
        if each is None:
            self.unknown += times
            return
        self.monthly[currency] += each * times
        self.counted[currency] += times

    def shown(self) -> list[Recurring]:
        return [
            Recurring(
                currency=currency,
                mrr=round(exact),  # half to even
                amount=money.display(round(exact), currency),
                subscriptions=self.counted[currency],
            )
            for currency, exact in sorted(self.monthly.items())
        ]


@dataclass
class Revenue:
    """Of all subscriptions, and of each price."""

    all: Sums = field(default_factory=Sums)
    by_price: defaultdict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))


async def sum_recurring(tx: AsyncConnection, now: datetime) -> Revenue:
    found = Revenue()
    for row in await tx.execute(_SHAPES, {"own": _OWN}):
        _add(found, row, now)
    return found


def _add(found: Revenue, row: Any, now: datetime) -> None:
    currency, items, times = str(row.currency), row.items or (), row.subscriptions
    each = monthly(items, row.discounts or (), currency, now) if row.discounts is not None else None
    found.all.add(currency, sum(each, Fraction()) if each else None, times)
    by_price: defaultdict[str, list[Fraction]] = defaultdict(list)
    for place, item in enumerate(items):
        by_price[item["price"]] += each[place : place + 1] if each else ()
    for price, shares in by_price.items():
        found.by_price[price].add(currency, sum(shares, Fraction()) if each else None, times)


def monthly(
    items: Sequence[Json], discounts: Iterable[Json], currency: str, now: datetime
) -> list[Fraction] | None:
    """What each item of a subscription brings in a month, in minor units, less the discounts that
    run now; each discount takes from what those before it have left. None where that is not known.
    """
    costs = [cost for item in items if (cost := _cost(item)) is not None]
    if not items or len(costs) != len(items):
        return None
    bill, times = [amount for amount, _ in costs], [often for _, often in costs]
    for discount in discounts:
        if discount["end"] is None or discount["end"] > now.timestamp():
            together = sum(bill, Fraction()) if len(set(times)) == 1 else None
            if (part := _part(discount, together, currency)) is None:
                return None
            bill = [amount * part for amount in bill]
    return [amount * often for amount, often in zip(bill, times, strict=True)]


def _cost(item: Json) -> tuple[Fraction, Fraction] | None:
    """What an item costs a bill, and how many bills a month has; None where that is not known."""
    often = MONTHLY.get(str(item.get("interval")))
    if often is None or item.get("amount") is None:
        return None
    return Fraction(item["amount"]), often / int(item["interval_count"])


def _part(discount: Json, bill: Fraction | None, currency: str) -> Fraction | None:
    """What part of a bill a discount leaves; None for a coupon of which nothing is known, and for
    an amount off bills that come at several intervals, from each of which it is taken.
    """
    if discount["percent_off"] is not None:
        return 1 - Fraction(discount["percent_off"]) / 100
    off = discount["amount_off"]
    if off is None or bill is None or discount["currency"] != currency:
        return None
    return 1 - min(Fraction(off), bill) / bill if bill else Fraction(1)
