"""Taxes: the one set rate that stands in for Stripe's own computation."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import half_up


def automatic_taxes(work: Work, line: Body, amount: int) -> list[Body]:
    """What `automatic_tax` levies on what discounts have left of a line of an invoice or a session:
    the configured rate, or nothing where none is set.
    """
    percent = work.config.tax_rate
    if not percent:
        return []
    details = (line.get("pricing") or {}).get("price_details") or {}
    price = line.get("price") or work.get("price", details.get("price")) or {}
    behavior = "inclusive" if price.get("tax_behavior") == "inclusive" else "exclusive"
    tax, taxable = tax_on(amount, percent, inclusive=behavior == "inclusive")
    return [
        {
            "amount": tax,
            "tax_behavior": behavior,
            "tax_rate_details": {"tax_rate": _rate(work, percent, behavior)},
            "taxability_reason": "standard_rated",
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        }
    ]


def tax_on(amount: int, percent: Decimal, *, inclusive: bool) -> tuple[int, int]:
    """The tax on an amount, or within it, and what of the amount is taxed."""
    part = Fraction(percent) / 100
    taxable = amount / (1 + part) if inclusive else Fraction(amount)
    return half_up(taxable * part), half_up(taxable)


def summed(taxed: Iterable[list[Body]]) -> list[Body]:
    """The taxes of all lines by rate: `total_taxes`."""
    totals: dict[str, Body] = {}
    for tax in (tax for line in taxed for tax in line):
        key = tax["tax_rate_details"]["tax_rate"]
        before = totals.get(key, {"amount": 0, "taxable_amount": 0})
        sums = {name: before[name] + tax[name] for name in ("amount", "taxable_amount")}
        totals[key] = {**tax, **sums}
    return list(totals.values())


def on_top(taxes: Iterable[Body]) -> int:
    """What exclusive taxes add to an amount."""
    return sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")


def within(taxes: Iterable[Body]) -> int:
    """What inclusive taxes are of an amount."""
    return sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")


def _rate(work: Work, percent: Decimal, behavior: str) -> str:
    id = f"txr_automatic_{behavior}_{percent}".replace(".", "_")
    if work.get("tax_rate", id) is None:
        sizes = dict.fromkeys(("effective_percentage", "percentage"), float(percent))
        kind = {"display_name": "Tax", "rate_type": "percentage"}
        inclusive = behavior == "inclusive"
        work.create("tax_rate", id=id, active=False, inclusive=inclusive, **sizes, **kind)
    return id
