"""Proration: what is given back for time that is not used, and owed for time that remains."""

from dataclasses import dataclass
from datetime import UTC, datetime

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.invoice_lines import times
from stripe_sandbox.flows.periods import Period, period_around


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a period's price: a credit where the amount is negative."""

    item: Body
    amount: int
    period: Period
    description: str


def unused(work: Work, item: Body, *, anchor: int, at: int) -> Share:
    """What an item, as it was billed, gives back from this moment on."""
    return _share(work, item, anchor=anchor, period=(at, item["current_period_end"]), sign=-1)


def remaining(work: Work, item: Body, *, anchor: int, at: int | None = None) -> Share:
    """What an item, as it is now, costs from this moment, or the start, to its period's end."""
    start = item["current_period_start"] if at is None else at
    return _share(work, item, anchor=anchor, period=(start, item["current_period_end"]), sign=1)


def _share(work: Work, item: Body, *, anchor: int, period: Period, sign: int) -> Share:
    """By the second, out of the whole period that the anchor's calendar has at that time."""
    start, end = period
    price = item["price"]
    first, last = period_around(anchor, price["recurring"], start)
    whole = times(price, item["quantity"])
    amount = (2 * whole * (end - start) + (last - first)) // (2 * (last - first))
    return Share(item, sign * amount, period, _description(work, item, start, sign))


def _description(work: Work, item: Body, start: int, sign: int) -> str:
    product = work.get("product", item["price"]["product"]) or {}
    name = product.get("name", item["price"]["product"])
    often = f"{item['quantity']} \N{MULTIPLICATION SIGN} " if item["quantity"] != 1 else ""
    day = datetime.fromtimestamp(start, UTC)
    what = "Remaining time on" if sign > 0 else "Unused time on"
    return f"{what} {often}{name} after {day.day} {day:%b %Y}"
