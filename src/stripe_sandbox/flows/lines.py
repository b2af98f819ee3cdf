"""Line items: what is bought, at which price, how often."""

import secrets

from stripe_sandbox.contract.errors import invalid, not_simulated
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.work import Work
from stripe_sandbox.resources.catalog import new_price

_TAKES = frozenset({"adjustable_quantity", "metadata", "price", "price_data", "quantity"})


def new_lines(work: Work, items: list[Body]) -> list[Body]:
    """Lines out of the parameter `line_items`, all in one currency."""
    lines = [_line(work, item, f"line_items[{i}]") for i, item in enumerate(items)]
    currencies = {line["currency"] for line in lines}
    if len(currencies) > 1:
        listed = ", ".join(sorted(currencies))
        text = f"All line items must have the same currency; these have {listed}."
        raise invalid(text, param="line_items")
    return lines


def total(lines: list[Body]) -> int:
    return sum(line["amount_total"] for line in lines)


def as_list(lines: list[Body], *, url: str) -> Body:
    return {"object": "list", "data": lines, "has_more": False, "url": url}


def _line(work: Work, item: Body, at: str) -> Body:
    for name in item:
        if name not in _TAKES:
            raise not_simulated(f"the parameter {at}[{name}]")
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
    if not price["active"]:
        text = "The price specified is inactive. This field only accepts active prices."
        raise invalid(text, param=f"{at}[price]")
    return price
