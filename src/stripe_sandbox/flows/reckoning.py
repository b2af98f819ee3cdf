"""What a bill comes to: its lines, what discounts take off them, what taxes add to the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts, taxes

TERMS = "automatic_tax default_tax_rates discounts"


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


def reckon(
    work: Work,
    lines: Sequence[Body],
    *,
    off: Sequence[Body] = (),
    rates: Sequence[Sequence[Body]],
) -> Reckoning:
    """Take the discounts off and put the taxes on; `rates` has those of each line."""
    amounts = [discounts.amount_of(line) for line in lines]
    deducted = discounts.deductions(work, off, lines)
    taxed = [
        taxes.taxes_on(amount - taken(entries), of_line)
        for amount, entries, of_line in zip(amounts, deducted, rates, strict=True)
    ]
    return Reckoning(amounts, deducted, taxed)


def reckon_invoice(work: Work, invoice: Body, lines: Sequence[Body]) -> Body:
    """Write discounts and taxes on the lines; returns the fields of the invoice that sum up."""
    off = [work.find("discount", id) for id in invoice["discounts"]]
    rates = [_rates(work, invoice, line) for line in lines]
    bill = reckon(work, lines, off=off, rates=rates)
    for line, deducted, taxed in zip(lines, bill.deductions, bill.taxes, strict=True):
        work.change(line, discount_amounts=deducted, taxes=taxed)
    summed = discounts.summed(bill.deductions)
    left = bill.subtotal - bill.discount
    included = sum(map(taxes.within, bill.taxes))
    automatic = invoice["automatic_tax"]
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
    if "default_tax_rates" in params:
        param = "default_tax_rates"
        new[param] = taxes.given_rates(work, params[param], param=param)
    if "automatic_tax" in params:
        known = frozenset({"enabled"})
        require_simulated(params["automatic_tax"], known, where="automatic_tax")
        new |= changes(body, params, "automatic_tax")
    return new


def _rates(work: Work, invoice: Body, line: Body) -> list[Body]:
    if invoice["customer_tax_exempt"] in ("exempt", "reverse"):
        return []
    details = (line["pricing"] or {}).get("price_details") or {}
    price = work.get("price", details.get("price")) or {}
    if invoice["automatic_tax"]["enabled"]:
        return taxes.automatic_rates(work, inclusive=price.get("tax_behavior") == "inclusive")
    rates: list[Body] = _own_rates(work, line) or invoice["default_tax_rates"]
    return rates


def _own_rates(work: Work, line: Body) -> list[Body] | None:
    """Those of the invoice item, or of the subscription item, behind the line."""
    parent = line["parent"] or {}
    for object, kind in (("invoiceitem", "invoice_item"), ("subscription_item",) * 2):
        details = parent.get(f"{kind}_details") or {}
        source = work.get(object, details.get(kind)) or {}
        if source.get("tax_rates"):
            return list(source["tax_rates"])
    return None
