"""The rows of Stripe's reports, computed from the balance's transactions."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import in_major_units

Row = dict[str, str]
PAYOUTS = frozenset({"payout", "payout_reversal"})
_SUMS = ("amount", "fee", "net")


@dataclass(frozen=True, slots=True)
class Query:
    """What a report covers: from `start` up to, and without, `end`."""

    start: int
    end: int
    zone: tzinfo
    currency: str | None = None
    reporting_category: str | None = None

    def takes(self, transaction: Body) -> bool:
        return (
            self.start <= transaction["created"] < self.end
            and self.currency in (None, transaction["currency"])
            and self.reporting_category in (None, transaction["reporting_category"])
        )


def as_csv(rows: Iterable[Row], columns: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def balance_summary(work: Work, query: Query) -> Iterator[Row]:
    """What the balance was, how it changed and what it is, in each currency."""
    so_far = Query(0, query.end, query.zone, query.currency)
    found = list(_found(work, so_far))
    for currency in sorted({row["currency"] for row in found} or {query.currency or "usd"}):
        rows = [row for row in found if row["currency"] == currency]
        within = [row for row in rows if query.takes(row)]
        activity = [row for row in within if row["reporting_category"] not in PAYOUTS]
        gross, fee, net = (_sum(activity, name) for name in _SUMS)
        paid_out = _sum(within, "net") - net
        end = _sum(rows, "net")
        start, last = (_local(time, query.zone)[:10] for time in (query.start, query.end))
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


def activity_summary(work: Work, query: Query) -> Iterator[Row]:
    return _summary(row for row in _found(work, query) if not _is_payout(row))


def payouts_summary(work: Work, query: Query) -> Iterator[Row]:
    return _summary(row for row in _found(work, query) if _is_payout(row))


def activity(work: Work, query: Query) -> Iterator[Row]:
    for row in _found(work, query):
        if _is_payout(row):
            continue
        source = work.find_anywhere(row["source"]) or {}
        charge = work.get("charge", source.get("charge")) or source
        details = charge.get("payment_method_details") or {}
        yield {
            **_money(row),
            **_times("created", row["created"], query.zone),
            **_times("available_on", row["available_on"], query.zone),
            **_times("charge_created", charge["created"], query.zone),
            **{f"card_{key}": text for key, text in (details.get("card") or {}).items() if text},
            "charge_id": charge["id"],
            "customer_facing_amount": in_major_units(row["amount"], row["currency"]),
            "customer_facing_currency": row["currency"],
            "customer_id": charge["customer"] or "",
            "payment_intent_id": charge["payment_intent"] or "",
            "payment_method_type": details["type"],
            "source_id": row["source"],
        }


def payouts(work: Work, query: Query) -> Iterator[Row]:
    for row in _found(work, query):
        if _is_payout(row):
            payout = work.find("payout", row["source"])
            yield {
                **_money(row),
                **_times("effective_at", row["created"], query.zone),
                "payout_id": payout["id"],
                "payout_description": payout["description"] or "",
                "payout_destination_id": payout["destination"],
                "payout_expected_arrival_date": _local(payout["arrival_date"], UTC),
                "payout_status": payout["status"],
                "payout_type": payout["type"],
            }


def _found(work: Work, query: Query) -> Iterator[Body]:
    """Oldest first."""
    return filter(query.takes, reversed(list(work.every("balance_transaction"))))


def _is_payout(transaction: Body) -> bool:
    return transaction["reporting_category"] in PAYOUTS


def _summary(found: Iterable[Body]) -> Iterator[Row]:
    """A line for each category, and one for them all, in each currency."""
    groups: dict[tuple[str, bool, str], list[Body]] = {}
    for row in found:
        for total, category in ((False, row["reporting_category"]), (True, "total")):
            groups.setdefault((row["currency"], total, category), []).append(row)
    for (currency, _, category), rows in sorted(groups.items()):
        sums = {name: _sum(rows, name) for name in _SUMS}
        line = _money({**sums, "id": "", "currency": currency, "reporting_category": category})
        yield {**line, "count": str(len(rows))}


def _sum(rows: Iterable[Body], name: str) -> int:
    return sum(row[name] for row in rows)


def _money(row: Body) -> Row:
    gross, fee, net = (in_major_units(row[name], row["currency"]) for name in _SUMS)
    return {
        "balance_transaction_id": row["id"],
        "currency": row["currency"],
        "description": row.get("description") or "",
        "fee": fee,
        "gross": gross,
        "net": net,
        "reporting_category": row["reporting_category"],
    }


def _times(name: str, time: int, zone: tzinfo) -> Row:
    return {name: _local(time, zone), f"{name}_utc": _local(time, UTC)}


def _local(time: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(time, zone):%Y-%m-%d %H:%M:%S}"
