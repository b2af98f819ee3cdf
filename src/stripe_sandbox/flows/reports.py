"""The rows of Stripe's reports, computed from the balance's transactions."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import in_major_units

Row = dict[str, Any]
PAYOUTS = frozenset({"payout", "payout_reversal"})
_SUMS = ("amount", "fee", "net")


@dataclass(frozen=True, slots=True)
class Query:
    """What a report covers: from `start` up to, and without, `end`."""

    start: int
    end: int
    currency: str | None = None
    reporting_category: str | None = None

    def takes(self, transaction: Body) -> bool:
        wanted = self.currency in (None, transaction["currency"])
        category = self.reporting_category in (None, transaction["reporting_category"])
        return wanted and category and self.start <= transaction["created"] < self.end


def as_csv(rows: Iterable[Row], columns: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def balance_summary(work: Work, query: Query) -> Iterator[Row]:
    """What the balance was, how it changed and what it is, in each currency."""
    found = list(_found(work, Query(0, query.end, query.currency)))
    for currency in sorted({row["currency"] for row in found} or {query.currency or "usd"}):
        rows = [row for row in found if row["currency"] == currency]
        within = [row for row in rows if query.takes(row)]
        activity = [row for row in within if row["reporting_category"] not in PAYOUTS]
        gross, fee, net = (_sum(activity, name) for name in _SUMS)
        paid_out = _sum(within, "net") - net
        end = _sum(rows, "net")
        start, last = (_written(time)[:10] for time in (query.start, query.end))
        for category, description, amount in (
            ("starting_balance", f"Starting balance ({start})", end - net - paid_out),
            ("activity_gross", "Account activity before fees", gross),
            ("activity_fee", "Less fees", -fee),
            ("activity", "Net balance change from activity", net),
            ("payouts", "Net balance change from payouts", paid_out),
            ("ending_balance", f"Ending balance ({last})", end),
        ):
            yield {
                "category": category,
                "description": description,
                "net_amount": in_major_units(amount, currency),
                "currency": currency,
            }


def activity(work: Work, query: Query) -> Iterator[Row]:
    for row in _found(work, query):
        if _is_payout(row):
            continue
        source = work.find_anywhere(row["source"]) or {}
        charge = work.get("charge", source.get("charge")) or source
        details = charge.get("payment_method_details") or {}
        yield {
            **_money(row),
            **_times("created", row["created"]),
            **_times("available_on", row["available_on"]),
            **_times("charge_created", charge["created"]),
            **{f"card_{name}": value for name, value in (details.get("card") or {}).items()},
            "charge_id": charge["id"],
            "customer_facing_amount": in_major_units(row["amount"], row["currency"]),
            "customer_facing_currency": row["currency"],
            "customer_id": charge["customer"],
            "payment_intent_id": charge["payment_intent"],
            "payment_method_type": details["type"],
            "source_id": row["source"],
        }


def payouts(work: Work, query: Query) -> Iterator[Row]:
    for row in _found(work, query):
        if _is_payout(row):
            payout = work.find("payout", row["source"])
            yield {
                **_money(row),
                **_times("effective_at", row["created"]),
                "payout_id": payout["id"],
                "payout_description": payout["description"],
                "payout_destination_id": payout["destination"],
                "payout_expected_arrival_date": _written(payout["arrival_date"]),
                "payout_status": payout["status"],
                "payout_type": payout["type"],
            }


def _found(work: Work, query: Query) -> Iterator[Body]:
    """Oldest first."""
    return filter(query.takes, reversed(list(work.every("balance_transaction"))))


def _is_payout(transaction: Body) -> bool:
    return transaction["reporting_category"] in PAYOUTS


def _sum(rows: Iterable[Body], name: str) -> int:
    return sum(row[name] for row in rows)


def _money(row: Body) -> Row:
    amounts = {"gross": row["amount"], "fee": row["fee"], "net": row["net"]}
    return {
        **{name: in_major_units(amount, row["currency"]) for name, amount in amounts.items()},
        "balance_transaction_id": row["id"],
        "currency": row["currency"],
        "description": row["description"],
        "reporting_category": row["reporting_category"],
    }


def _times(name: str, time: int) -> Row:
    return dict.fromkeys((name, f"{name}_utc"), _written(time))


def _written(time: int) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"
