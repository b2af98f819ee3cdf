"""What a bill comes to: its lines, what discounts take off them, what taxes add to the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts, taxes

TERMS = "automatic_tax discounts"


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Line by line: the amounts, what is taken off each, and the taxes on what is left."""

    amounts: Sequence[int]
    deductions: Sequence[list[Body]]
    taxes: Sequence[list[Body]]

    @property
    def subtotal(self) -> int:
        return sum(self.amounts)

    @property
    def discount(self) -> int:
        return sum(map(taken, self.deductions))

    @property
    def tax(self) -> int:
        """All of it, also what the amounts include."""
        return sum(tax["amount"] for line in self.taxes for tax in line)

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + sum(map(taxes.on_top, self.taxes))


def taken(deductions: Sequence[Body]) -> int:
    """What is taken off one line."""
    return sum(entry["amount"] for entry in deductions)


def reckon(work: Work, lines: Sequence[Body], *, off: Sequence[str], taxed: bool) -> Reckoning:
    """Take the discounts with these ids off and put the automatic tax on."""
    amounts = [discounts.amount_of(line) for line in lines]
    deducted = discounts.deductions(work, off, lines)
    levied = [
        taxes.automatic_taxes(work, line, amount - taken(entries)) if taxed else []
        for line, amount, entries in zip(lines, amounts, deducted, strict=True)
    ]
    return Reckoning(amounts, deducted, levied)


def reckon_invoice(work: Work, invoice: Body, lines: Sequence[Body]) -> Body:
    """Write discounts and taxes on the lines; returns the fields of the invoice that sum up."""
    automatic = invoice["automatic_tax"]
    exempt = invoice["customer_tax_exempt"] in ("exempt", "reverse")
    taxed = automatic["enabled"] and not exempt
    bill = reckon(work, lines, off=invoice["discounts"], taxed=taxed)
    for line, deducted, taxed in zip(lines, bill.deductions, bill.taxes, strict=True):
        work.change(line, discount_amounts=deducted, taxes=taxed)
    summed = discounts.summed(bill.deductions)
    left = bill.subtotal - bill.discount
    included = sum(map(taxes.within, bill.taxes))
    if automatic["enabled"]:
        automatic = {**automatic, "provider": "stripe", "status": "complete"}
    return {
        "automatic_tax": automatic,
        "subtotal": bill.subtotal,
        "subtotal_excluding_tax": bill.subtotal - included,
        "total": bill.total,
        "total_discount_amounts": summed,
        "total_excluding_tax": left - included,
        "total_pretax_credit_amounts": [{**entry, "type": "discount"} for entry in summed],
        "total_taxes": taxes.summed(bill.taxes),
    }


def terms(work: Work, params: Body, body: Body, **owner: Any) -> Body:
    """The fields of an invoice or a subscription that the parameters `TERMS` mention.

    The body need not exist yet: its `object` and its `customer` will do. The `owner` is what
    `discounts.offer` takes.
    """
    new: Body = {}
    if "discounts" in params:
        rows = discounts.redeem(work, params["discounts"], customer=body["customer"], **owner)
        new["discounts"] = [row["id"] for row in rows]
    if "automatic_tax" in params:
        require_simulated(params["automatic_tax"], "enabled", where="automatic_tax")
        new |= changes(body, params, "automatic_tax")
    return new
