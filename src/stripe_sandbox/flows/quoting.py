"""A quote from its draft to its end: what it comes to, and the bill that it becomes."""

from collections.abc import Sequence

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts, invoicing
from stripe_sandbox.flows.invoice_lines import price_line
from stripe_sandbox.flows.lines import as_list, new_lines, priced_lines
from stripe_sandbox.flows.reckoning import Reckoning, reckon, terms
from stripe_sandbox.flows.subscribing import subscribe

OPEN_FOR = 30 * 24 * 3600
SUBSCRIPTION_DATA: Body = {
    "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}}
}

_NUMBERS = "quote numbers"
_NESTED = {
    "invoice_settings": "days_until_due description footer",
    "subscription_data": "description metadata trial_period_days",
}


def change(work: Work, quote: Body, params: Body) -> None:
    """Take on what the parameters say besides plain fields, and add it all up."""
    for name, takes in _NESTED.items():
        if name in params:
            require_simulated(params[name], takes, where=name)
            work.change(quote, **{name: {**quote[name], **_unset(params[name])}})
    if "customer" in params:
        customer = work.find("customer", params["customer"], param="customer")
        work.change(quote, customer=customer["id"], test_clock=customer["test_clock"])
    settled = {name: value for name, value in params.items() if name != "discounts"}
    work.change(quote, **terms(work, settled, quote))
    if "line_items" in params:
        _set_lines(work, quote, params["line_items"])
    if "discounts" in params:
        wanted = params["discounts"] or []
        rows = discounts.offer(work, wanted, customer=quote["customer"], currency=quote["currency"])
        work.change(quote, discounts=[row["id"] for row in rows])
        work.remember(quote["id"], wanted=wanted)
    _add_up(work, quote)


def finalize(work: Work, quote: Body) -> None:
    require_status(quote, "draft", done="finalized")
    if quote["customer"] is None or not lines_of(work, quote):
        raise refused("A quote needs a customer and line items before it can be finalized.")
    customer = work.find("customer", quote["customer"], param="customer")
    number = work.note(_NUMBERS).get("last", 0) + 1
    work.remember(_NUMBERS, last=number)
    work.change(
        quote,
        number=f"QT-{customer['invoice_prefix']}-{number:04d}-1",
        status="open",
        status_transitions={**quote["status_transitions"], "finalized_at": work.now},
    )
    work.emit("quote.finalized", quote)


def accept(work: Work, quote: Body) -> None:
    """It becomes a subscription if anything of it recurs, else a draft of an invoice."""
    require_status(quote, "open", done="accepted")
    customer = work.find("customer", quote["customer"])
    lines = lines_of(work, quote)
    recurs = any(line["price"]["recurring"] for line in lines)
    begin = _subscribe if recurs else _draft
    made = begin(work, quote, customer)
    work.change(
        quote,
        **{made["object"]: made["id"]},
        status="accepted",
        status_transitions={**quote["status_transitions"], "accepted_at": work.now},
    )
    if recurs:
        work.change(quote, invoice=made["latest_invoice"])
    work.emit("quote.accepted", quote)


def cancel(work: Work, quote: Body) -> None:
    require_status(quote, "draft", "open", done="canceled")
    times = {**quote["status_transitions"], "canceled_at": work.now}
    work.change(quote, status="canceled", status_transitions=times)
    work.emit("quote.canceled", quote)


def require_status(quote: Body, *statuses: str, done: str) -> None:
    if quote["status"] not in statuses:
        only = " or ".join(f"`{status}`" for status in statuses)
        raise refused(
            f"This quote cannot be {done} because it has a status of `{quote['status']}`: only a"
            f" quote with a status of {only} can be {done}."
        )


def lines_of(work: Work, quote: Body) -> list[Body]:
    """As the quote shows them, with discounts and taxes."""
    lines: list[Body] = work.note(quote["id"]).get("priced", [])
    return lines


def _set_lines(work: Work, quote: Body, items: list[Body]) -> None:
    """Lines that are named by their id stay, in another quantity perhaps."""
    known = {line["id"]: line for line in lines_of(work, quote)}
    described = []
    for i, item in enumerate(items):
        line = known.get(item.get("id", ""))
        if "id" in item and line is None:
            raise invalid(f"No such line item: '{item['id']}'", param=f"line_items[{i}][id]")
        kept = {"price": line["price"]["id"], "quantity": line["quantity"]} if line else {}
        new = {name: value for name, value in item.items() if name != "id"}
        described.append({"quantity": 1, **kept, **new})
    lines = new_lines(work, described)
    work.remember(quote["id"], lines=lines)
    work.change(quote, currency=lines[0]["currency"])


def _add_up(work: Work, quote: Body) -> None:
    """What is due at first, what recurs, and both together where nothing is put off by a trial."""
    lines = work.note(quote["id"]).get("lines", [])
    taxed = quote["automatic_tax"]["enabled"]
    bill = reckon(work, lines, off=quote["discounts"], taxed=taxed)
    trial = quote["subscription_data"]["trial_period_days"]
    now = [i for i, line in enumerate(lines) if not (trial and line["price"]["recurring"])]
    later = [i for i, line in enumerate(lines) if line["price"]["recurring"]]
    priced = priced_lines(work, lines, bill)
    work.remember(quote["id"], priced=priced)
    upfront, recurring = _part(bill, now), _part(bill, later)
    shown = as_list([priced[i] for i in now], url="/v1/quotes/computed_upfront_line_items")
    interval = lines[later[0]]["price"]["recurring"] if later else {}
    names = ("interval", "interval_count")
    computed = {
        "upfront": {**_sums(upfront), "line_items": shown},
        "recurring": {**_sums(recurring), **{name: interval[name] for name in names}}
        if later
        else None,
    }
    work.change(quote, **_sums(upfront), computed=computed)


def _part(bill: Reckoning, chosen: Sequence[int]) -> Reckoning:
    return Reckoning(
        [bill.amounts[i] for i in chosen],
        [bill.deductions[i] for i in chosen],
        [bill.taxes[i] for i in chosen],
    )


def _sums(bill: Reckoning) -> Body:
    details = {"amount_discount": bill.discount, "amount_shipping": 0, "amount_tax": bill.tax}
    return {
        "amount_subtotal": bill.subtotal,
        "amount_total": bill.total,
        "total_details": {**details, "breakdown": None},
    }


def _subscribe(work: Work, quote: Body, customer: Body) -> Body:
    lines = work.note(quote["id"])["lines"]
    bought = [{name: line[name] for name in ("price", "quantity")} for line in lines]
    data = quote["subscription_data"]
    chosen = {
        "days_until_due": quote["invoice_settings"]["days_until_due"],
        "description": data["description"],
        "metadata": data["metadata"],
        "trial_period_days": data["trial_period_days"],
    }
    params = {
        **{name: value for name, value in chosen.items() if value is not None},
        **_terms(work, quote),
        "items": [item for item in bought if item["price"]["recurring"]],
        "add_invoice_items": [item for item in bought if not item["price"]["recurring"]],
        "collection_method": quote["collection_method"],
    }
    return subscribe(work, customer, params)


def _draft(work: Work, quote: Body, customer: Body) -> Body:
    settings, now = quote["invoice_settings"], (work.now, work.now)
    owner = {"object": "invoice", "customer": customer["id"]}
    lines = [
        price_line(work, price=line["price"], quantity=line["quantity"], period=now)
        for line in lines_of(work, quote)
    ]
    return invoicing.draft(
        work,
        customer,
        currency=quote["currency"],
        billing_reason="quote_accept",
        lines=lines,
        collection_method=quote["collection_method"],
        description=settings["description"] or quote["description"],
        footer=settings["footer"] or quote["footer"],
        days_until_due=settings["days_until_due"],
        **terms(work, _terms(work, quote), owner, currency=quote["currency"]),
    )


def _terms(work: Work, quote: Body) -> Body:
    """Discounts and taxes, as parameters of what the quote becomes."""
    return {
        "automatic_tax": {"enabled": quote["automatic_tax"]["enabled"]},
        "discounts": work.note(quote["id"]).get("wanted", []),
    }


def _unset(given: Body) -> Body:
    return {name: None if value == "" else value for name, value in given.items()}
