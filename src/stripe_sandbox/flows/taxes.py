"""Taxes: given rates, and the one set rate that stands in for Stripe's own computation."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import half_up


def automatic_rates(work: Work, *, inclusive: bool = False) -> list[Body]:
    """What `automatic_tax` levies: the configured rate, or nothing where none is set."""
    percent = work.config.tax_rate
    if not percent:
        return []
    id = f"txr_automatic_{'inclusive' if inclusive else 'exclusive'}_{percent}".replace(".", "_")
    return [
        work.get("tax_rate", id)
        or work.create(
            "tax_rate",
            id=id,
            active=False,
            display_name="Tax",
            effective_percentage=float(percent),
            inclusive=inclusive,
            percentage=float(percent),
            rate_type="percentage",
        )
    ]


def given_rates(work: Work, ids: Any, *, param: str) -> list[Body]:
    """The rates that a parameter such as `tax_rates` names; empty means none."""
    return [work.find("tax_rate", id, param=f"{param}[{i}]") for i, id in enumerate(ids or ())]


def taxes_on(amount: int, rates: Sequence[Body]) -> list[Body]:
    """What each rate levies on an amount, as a line of an invoice shows it.

    Inclusive rates are part of the amount; exclusive ones come on top of what is left without them.
    """
    included = sum((_part(rate) for rate in rates if rate["inclusive"]), Fraction(0))
    base = amount / (1 + included)
    return [
        {
            "amount": half_up(base * _part(rate)),
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": "standard_rated",
            "taxable_amount": half_up(base),
            "type": "tax_rate_details",
        }
        for rate in rates
    ]


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


def _part(rate: Body) -> Fraction:
    return Fraction(str(rate["percentage"])) / 100
