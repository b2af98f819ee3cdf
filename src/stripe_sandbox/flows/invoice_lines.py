"""Lines of invoices: what a price, or an invoice item, puts on an invoice."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import display

_SHARED = "amount currency description discountable discounts metadata period pricing quantity"
SHOWN = 10  # of the lines inside an invoice; the others are on the pages of its list


def price_line(
    work: Work, *, price: Body, quantity: int, period: tuple[int, int], **fields: Any
) -> Body:
    """A line that no invoice has yet: `invoicing.add_line` puts it on one.

    The fields stand in place of what the price says.
    """
    said = {
        "amount": times(price, quantity),
        "currency": price["currency"],
        "description": describe(work, price, quantity),
        "discountable": True,
        "discounts": [],
        "metadata": {},
        "period": {"start": period[0], "end": period[1]},
        "pricing": pricing_of(price),
    }
    return _line(work, quantity=quantity, **{**said, **fields})


def item_line(work: Work, item: Body) -> Body:
    """What an invoice item puts on an invoice."""
    subscription = subscription_id(item)
    of = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription_item")
    details = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "subscription": subscription,
        **({"subscription_item": of} if of else {}),
    }
    type = "subscription_item_details" if of else "invoice_item_details"
    parent = {"type": type, type: details}
    shown = {name: item[name] for name in _SHARED.split()}
    return _line(work, parent=parent, subscription=subscription, **shown)


def times(price: Body, quantity: int) -> int:
    """The amount of a price, rounded half up to a minor unit."""
    exact = Decimal(price["unit_amount_decimal"] or 0) * quantity
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def pricing_of(price: Body) -> Body:
    return {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def describe(work: Work, price: Body, quantity: int) -> str:
    """`2 × Gold (at $20.00 / month)`; a price that is paid once goes by its product alone."""
    product = work.get("product", price["product"]) or {}
    name = product.get("name", "")
    if not price["recurring"]:
        return str(name)
    count, interval = price["recurring"]["interval_count"], price["recurring"]["interval"]
    every = interval if count == 1 else f"every {count} {interval}s"
    amount = display(times(price, 1), price["currency"])
    return f"{quantity} \N{MULTIPLICATION SIGN} {name} (at {amount} / {every})"


def lines_of(work: Work, invoice: Body) -> list[Body]:
    """All of them, in the order in which the invoice shows them."""
    return list(work.every("line_item", invoice=invoice["id"]))[::-1]


def item_of(work: Work, line: Body) -> Body | None:
    """The invoice item behind a line."""
    parent = line["parent"] or {}
    details = parent.get(parent.get("type", "")) or {}
    return work.get("invoiceitem", details.get("invoice_item"))


def subscription_id(body: Body) -> str | None:
    """The subscription that an invoice, or an item of one, is about."""
    details = (body["parent"] or {}).get("subscription_details") or {}
    return details.get("subscription")


def _line(work: Work, *, amount: int, quantity: int, **fields: Any) -> Body:
    shown = {
        "id": work.new_id("line_item"),
        "amount": amount,
        "discount_amounts": [],
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
        **fields,
    }
    return filled(resource_class("line_item"), shown)
