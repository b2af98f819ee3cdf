"""Proration: what is given back for time that is not used, and owed for time that remains."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts
from stripe_sandbox.flows.invoice_lines import times
from stripe_sandbox.flows.money import half_up
from stripe_sandbox.flows.periods import Period, period_around


@dataclass(frozen=True, slots=True)
class Share:
    """A part of what a period costs; a credit is negative."""

    item: Body
    amount: int
    period: Period
    description: str


def unused(work: Work, items: Iterable[Body], *, at: int) -> list[Share]:
    """What items give back from this moment on: the share of what was billed for them, by the
    second. What was not billed gives nothing.
    """
    shares = []
    for item in items:
        billed = work.note(item["id"]).get("billed")
        if billed is None or billed["end"] <= max(at, billed["start"]):
            continue
        since = max(at, billed["start"])
        part = Fraction(billed["end"] - since, billed["end"] - billed["start"])
        amount = half_up(part * billed["amount"])
        note_billed(work, item, billed["amount"] - amount, (billed["start"], since))
        text = _description(work, item, since, "Unused time on")
        shares.append(Share(dict(item), -amount, (since, billed["end"]), text))
    return shares


def remaining(
    work: Work, subscription: Body, items: Iterable[Body], *, at: int | None = None
) -> list[Share]:
    """What items cost from this moment (or the start) to the end of their period, net of the
    subscription's discounts: the share of a whole period, by the second.
    """
    items = list(items)
    anchor, shares = subscription["billing_cycle_anchor"], []
    for item, net in zip(items, _net(work, subscription, items), strict=True):
        start = item["current_period_start"] if at is None else at
        first, last = period_around(anchor, item["price"]["recurring"], start)
        period = (start, item["current_period_end"])
        amount = half_up(Fraction(net * (period[1] - start), last - first))
        note_billed(work, item, amount, period)
        text = _description(work, item, start, "Remaining time on")
        shares.append(Share(dict(item), amount, period, text))
    return shares


def note_billed(work: Work, item: Body, amount: int, period: Period) -> None:
    """Remember what an item's latest period, or the rest of it, cost."""
    start, end = period
    work.remember(item["id"], billed={"amount": amount, "start": start, "end": end})


def _net(work: Work, subscription: Body, items: list[Body]) -> list[int]:
    customer = work.find("customer", subscription["customer"])
    off = discounts.inherited(work, customer, subscription)
    whole = [
        {"amount": times(item["price"], item["quantity"]), "price": item["price"]} for item in items
    ]
    deducted = discounts.deductions(work, off, whole)
    return [
        line["amount"] - sum(entry["amount"] for entry in entries)
        for line, entries in zip(whole, deducted, strict=True)
    ]


def _description(work: Work, item: Body, start: int, what: str) -> str:
    product = work.get("product", item["price"]["product"]) or {}
    quantity = item["quantity"]
    often = "" if quantity == 1 else f"{quantity} \N{MULTIPLICATION SIGN} "
    day = datetime.fromtimestamp(start, UTC)
    return f"{what} {often}{product.get('name')} after {day:%d %b %Y}"
