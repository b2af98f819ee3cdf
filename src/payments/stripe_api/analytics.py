"""What a time brought, from Stripe's balance transactions: integer sums, currency by currency.

The sums go by `reporting_category`, Stripe's own accounting of each transaction; amounts are in the
currency that the account settles in.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

# How often a category counts in a tally; its amount counts always.
PAID: Final = {"charge": 1, "charge_failure": -1, "partial_capture_reversal": 0}
REFUNDED: Final = {"refund": 1, "refund_failure": -1}
DISPUTED: Final = {"dispute": 1, "dispute_reversal": 0}
CHARGED_FOR: Final = {"fee": 1, "network_cost": 1}
MOVED: Final = frozenset(
    {"payout", "payout_reversal", "topup", "topup_reversal", "transfer", "transfer_reversal"}
)
"""Money that only changes its place."""


class Tally(BaseModel):
    """How many, and how much together."""

    count: int = 0
    amount: int = Field(0, description="integer in minor units")


class Category(BaseModel):
    """All transactions of one of Stripe's reporting categories; money that goes is negative."""

    reporting_category: str = Field(examples=["charge"])
    count: int = 0
    gross: int = 0
    fee: int = 0
    net: int = 0


class Method(Tally):
    """What came in by one kind of payment method."""

    type: str = Field(examples=["card"])
    currency: str = Field(examples=["usd"])


class CurrencyTotals(BaseModel):
    """The sums of one currency, in its minor units."""

    currency: str = Field(examples=["usd"])
    total_payments: int = Field(description="payments received, less those that failed later")
    total_amount: int = Field(description="what they brought, before fees and refunds")
    fees: int = Field(description="what Stripe charged")
    refunds: Tally = Field(description="what went back, less refunds that failed")
    disputes: Tally = Field(description="disputes opened; what they took, less what was won back")
    net: int = Field(description="what is left; payouts and transfers do not count")
    categories: list[Category]


class PaymentAnalytics(BaseModel):
    """What a window of time brought: from `start` on, before `end`."""

    start: datetime
    end: datetime
    total_payments: int
    total_amount: int | None = Field(description="null where there are several currencies")
    currency: str | None = Field(description="null likewise", examples=["usd"])
    payment_methods: list[Method]
    currencies: list[CurrencyTotals]


async def summarise(
    transactions: AsyncIterator[Mapping[str, Any]], *, start: datetime, end: datetime
) -> PaymentAnalytics:
    """Sum up balance transactions whose `source` is expanded."""
    books: defaultdict[str, dict[str, Category]] = defaultdict(dict)
    methods: dict[tuple[str, str], Method] = {}
    async for one in transactions:
        currency, name = one["currency"], one["reporting_category"]
        _enter(books[currency].setdefault(name, Category(reporting_category=name)), one)
        if name in PAID:
            type = _method(one["source"])
            _count(methods.setdefault((currency, type), Method(type=type, currency=currency)), one)
    totals = [_totals(currency, books[currency]) for currency in sorted(books)]
    only = totals[0] if len(totals) == 1 else None
    return PaymentAnalytics(
        start=start,
        end=end,
        total_payments=sum(each.total_payments for each in totals),
        total_amount=only.total_amount if only else None if totals else 0,
        currency=only.currency if only else None,
        payment_methods=sorted(methods.values(), key=lambda m: (-m.count, m.type, m.currency)),
        currencies=totals,
    )


def _enter(category: Category, transaction: Mapping[str, Any]) -> None:
    category.count += 1
    category.gross += transaction["amount"]
    category.fee += transaction["fee"]
    category.net += transaction["net"]


def _count(method: Method, transaction: Mapping[str, Any]) -> None:
    method.count += PAID[transaction["reporting_category"]]
    method.amount += transaction["amount"]


def _method(source: Any) -> str:
    """`card`, for what a charge or a failed charge's refund says of itself."""
    details = source.get("payment_method_details") if isinstance(source, Mapping) else None
    return str(details["type"]) if details else "unknown"


def _totals(currency: str, book: Mapping[str, Category]) -> CurrencyTotals:
    paid, refunded, disputed = (_tally(book, counts) for counts in (PAID, REFUNDED, DISPUTED))
    return CurrencyTotals(
        currency=currency,
        total_payments=paid.count,
        total_amount=paid.amount,
        fees=sum(each.fee for each in book.values()) - _tally(book, CHARGED_FOR).amount,
        refunds=Tally(count=refunded.count, amount=-refunded.amount),
        disputes=Tally(count=disputed.count, amount=-disputed.amount),
        net=sum(each.net for name, each in book.items() if name not in MOVED),
        categories=[book[name] for name in sorted(book)],
    )


def _tally(book: Mapping[str, Category], counts: Mapping[str, int]) -> Tally:
    found = [(book[name], times) for name, times in counts.items() if name in book]
    return Tally(
        count=sum(each.count * times for each, times in found),
        amount=sum(each.gross for each, _ in found),
    )
