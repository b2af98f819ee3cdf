"""Line items: what is bought, at which price, how often."""

import secrets

from stripe_sandbox.contract.errors import invalid, not_simulated
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.reckoning import Reckoning, taken
from stripe_sandbox.flows.taxes import on_top
from stripe_sandbox.resources.catalog import new_price, require_active

_TAKES = "adjustable_quantity metadata price price_data quantity"


def new_lines(work: Work, items: list[Body]) -> list[Body]:
    """Lines out of the parameter `line_items`, all in one currency."""
    lines = [_line(work, item, f"line_items[{i}]") for i, item in enumerate(items)]
    currencies = {line["currency"] for line in lines}
    if len(currencies) > 1:
        listed = ", ".join(sorted(currencies))
        text = f"All line items must have the same currency; these have {listed}."
        raise invalid(text, param="line_items")
    return lines


def priced_lines(work: Work, lines: list[Body], bill: Reckoning) -> list[Body]:
    """The lines with what discounts take off them and what taxes add."""
    parts = zip(lines, bill.deductions, bill.taxes, strict=True)
    return [_priced_line(work, *part) for part in parts]


def _priced_line(work: Work, line: Body, deducted: list[Body], taxed: list[Body]) -> Body:
    """Here the discounts and the rates themselves are shown, not their ids."""
    off = taken(deducted)
    return {
        **line,
        "amount_discount": off,
        "amount_tax": sum(tax["amount"] for tax in taxed),
        "amount_total": line["amount_subtotal"] - off + on_top(taxed),
        "discounts": [
            {**entry, "discount": dict(work.find("discount", entry["discount"]))}
            for entry in deducted
        ],
        "taxes": [shown_tax(work, tax) for tax in taxed],
    }


def shown_tax(work: Work, tax: Body) -> Body:
    """A tax as a session shows it."""
    names = ("amount", "taxability_reason", "taxable_amount")
    rate = work.find("tax_rate", tax["tax_rate_details"]["tax_rate"])
    return {**{name: tax[name] for name in names}, "rate": dict(rate)}


def as_list(lines: list[Body], *, url: str) -> Body:
    return {"object": "list", "data": lines, "has_more": False, "url": url}


def _line(work: Work, item: Body, at: str) -> Body:
    require_simulated(item, _TAKES, where=at)
    price = _price(work, item, at)
    if price["unit_amount"] is None:
        raise not_simulated("prices with fractions of a minor unit in line items")
    quantity = item.get("quantity")
    if quantity is None or quantity < 1:
        text = f"Quantity is required and at least 1. Add `quantity` to `{at}`"
        raise invalid(text, param=f"{at}[quantity]")
    amount = price["unit_amount"] * quantity
    return filled(
        resource_class("item"),
        {
            "id": f"li_{secrets.token_hex(12)}",
            "amount_subtotal": amount,
            "amount_total": amount,
            "currency": price["currency"],
            "description": work.find("product", price["product"])["name"],
            "price": dict(price),
            "quantity": quantity,
            **given(item, "adjustable_quantity metadata"),
        },
    )


def _price(work: Work, item: Body, at: str) -> Body:
    if ("price" in item) is ("price_data" in item):
        text = f"You must specify either `price` or `price_data` in `{at}`."
        raise invalid(text, code="parameter_missing", param=f"{at}[price]")
    if "price_data" in item:
        data = {**item["price_data"], "active": False}
        return new_price(work, data, at=f"{at}[price_data]")
    price = work.find("price", item["price"], param=f"{at}[price]")
    require_active(price, param=f"{at}[price]")
    return price
