"""Invoice items: charges and credits that wait for an invoice, or stand on a draft."""

from stripe_sandbox.contract.errors import invalid, missing
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.customer_balance import bill_in
from stripe_sandbox.flows.invoice_lines import item_line, item_of, lines_of, pricing_of, times
from stripe_sandbox.flows.money import known_currency
from stripe_sandbox.flows.reckoning import terms
from stripe_sandbox.resources.catalog import new_price

invoiceitems = Resource(
    "invoiceitem",
    id_prefix="ii",
    label="invoice item",
    param="invoiceitem",
    filters={"pending": lambda item, wanted: (item["invoice"] is None) is wanted},
)

_FIELDS = "description discountable metadata period"
_WAYS = frozenset({"amount", "price_data", "pricing"})


@invoiceitems.on(
    "post",
    "/v1/invoiceitems",
    takes=f"{_FIELDS} amount currency customer discounts invoice price_data pricing quantity"
    " subscription",
)
def create(work: Work, params: Body) -> Body:
    customer, invoice = _whose(work, params)
    priced = _priced(work, params, params.get("currency") or (invoice or customer)["currency"])
    currency = priced["currency"]
    if invoice and currency != invoice["currency"]:
        text = "The currency of the invoice item must match the currency of the invoice."
        raise invalid(text, param="currency")
    owner = {"object": "invoiceitem", "customer": customer["id"]}
    fields = {
        "description": _name(work, priced),
        "discountable": priced["amount"] >= 0,
        "discounts": [],
        "parent": _parent(work, params),
        "period": {"start": work.now, "end": work.now},
        "tax_rates": [],
        "test_clock": customer["test_clock"],
        **priced,
        **given(params, _FIELDS),
        **terms(work, params, owner, currency=currency),
    }
    item = work.create("invoiceitem", customer=customer["id"], date=work.now, **fields)
    bill_in(work, customer, currency)
    if invoice:
        invoicing.add_line(work, invoice, item_line(work, item))
    work.emit("invoiceitem.created", item)
    if invoice:
        _retotal(work, invoice)
    return item


@invoiceitems.on("post", "/v1/invoiceitems/{invoiceitem}", takes=f"{_FIELDS} amount")
def update(work: Work, params: Body, invoiceitem: str) -> Body:
    item = work.find("invoiceitem", invoiceitem)
    invoice = _editable_invoice(work, item)
    new = changes(item, params, _FIELDS)
    if "amount" in params:
        new |= _priced(work, {"amount": params["amount"]}, item["currency"])
    work.change(item, **new)
    if invoice:
        line = _line_of(work, invoice, item)
        shown = {k: v for k, v in item_line(work, item).items() if k not in ("id", "invoice")}
        work.change(line, **shown)
        _retotal(work, invoice)
    return item


@invoiceitems.on("delete", "/v1/invoiceitems/{invoiceitem}")
def delete(work: Work, invoiceitem: str) -> Body:
    item = work.find("invoiceitem", invoiceitem)
    invoice = _editable_invoice(work, item)
    if invoice:
        work.delete(_line_of(work, invoice, item), leave_trace=False)
        _retotal(work, invoice)
    work.emit("invoiceitem.deleted", item)
    return work.delete(item, leave_trace=True)


def _priced(work: Work, params: Body, currency: str | None) -> Body:
    """Amount, currency, pricing and quantity out of the ways in which they can be given."""
    if len(_WAYS & params.keys()) != 1:
        text = "You must specify exactly one of `amount`, `pricing[price]` and `price_data`."
        raise invalid(text, code="parameter_missing", param="amount")
    if price := _price(work, params):
        quantity, currency = params.get("quantity", 1), price["currency"]
        amount, pricing = times(price, quantity), pricing_of(price)
    elif "quantity" in params:
        text = "`quantity` can only be set with `pricing` or `price_data`."
        raise invalid(text, param="quantity")
    elif currency is None:
        raise missing("currency")
    else:
        quantity, amount = 1, params["amount"]
        pricing = {"type": "price_details", "unit_amount_decimal": str(amount)}
    return {
        "amount": amount,
        "currency": known_currency(currency),
        "net_amount": amount,
        "pricing": pricing,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def _price(work: Work, params: Body) -> Body | None:
    if "price_data" in params:
        return new_price(work, {**params["price_data"], "active": False}, at="price_data")
    if "pricing" not in params:
        return None
    price = work.find("price", params["pricing"].get("price", ""), param="pricing[price]")
    if price["recurring"]:
        text = "The price specified is set to `type=recurring` but this field only accepts"
        raise invalid(f"{text} prices with `type=one_time`.", param="pricing[price]")
    return price


def _whose(work: Work, params: Body) -> tuple[Body, Body | None]:
    invoice = None
    if "invoice" in params:
        invoice = work.find("invoice", params["invoice"], param="invoice")
        invoicing.require_editable(invoice)
    id = params.get("customer") or (invoice or {}).get("customer")
    if id is None:
        raise missing("customer")
    customer = work.find("customer", id, param="customer")
    if invoice and invoice["customer"] != customer["id"]:
        raise invalid("The invoice belongs to another customer.", param="invoice")
    return customer, invoice


def _parent(work: Work, params: Body) -> Body | None:
    if "subscription" not in params:
        return None
    subscription = work.find("subscription", params["subscription"], param="subscription")
    details = {"subscription": subscription["id"]}
    return {"type": "subscription_details", "subscription_details": details}


def _name(work: Work, priced: Body) -> str | None:
    details = priced["pricing"].get("price_details")
    return work.find("product", details["product"])["name"] if details else None


def _editable_invoice(work: Work, item: Body) -> Body | None:
    invoice = work.get("invoice", item["invoice"])
    if invoice:
        invoicing.require_editable(invoice)
    return invoice


def _line_of(work: Work, invoice: Body, item: Body) -> Body:
    return next(line for line in lines_of(work, invoice) if item_of(work, line) == item)


def _retotal(work: Work, invoice: Body) -> None:
    if previous := invoicing.retotal(work, invoice):
        work.emit("invoice.updated", invoice, previous=previous)
