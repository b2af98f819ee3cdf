"""The lines of an invoice: what an invoice item or a subscription puts on it."""

from stripe_sandbox.contract.errors import invalid, no_such, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import merge_metadata
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.invoice_lines import item_line, item_of, lines_of, remove_line
from stripe_sandbox.resources import invoiceitems
from stripe_sandbox.resources.invoices import announce_difference

invoice_lines = Resource("line_item", id_prefix="il", label="invoice line item")

_FIELDS = "amount description discountable metadata period price_data pricing quantity"


@invoice_lines.on("get", "/v1/invoices/{invoice}/lines", takes="limit starting_after ending_before")
def lines(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    url = invoicing.lines_url(body)
    return page(lines_of(work, body), invoice_lines.label, params, url=url)


@invoice_lines.on("post", "/v1/invoices/{invoice}/remove_lines", takes="lines invoice_metadata")
def remove_lines(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.require_editable(body)
    for i, wanted in enumerate(params["lines"]):
        line = _line(work, body, wanted["id"], param=f"lines[{i}][id]")
        remove_line(work, line, keep_item=wanted["behavior"] == "unassign")
    return _changed(work, body, params)


@invoice_lines.on("post", "/v1/invoices/{invoice}/add_lines", takes="lines invoice_metadata")
def add_lines(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.require_editable(body)
    for i, wanted in enumerate(params["lines"]):
        _add(work, body, wanted, f"lines[{i}]")
    return _changed(work, body, params)


@invoice_lines.on("post", "/v1/invoices/{invoice}/lines/{line_item_id}", takes=_FIELDS)
def update(work: Work, params: Body, invoice: str, line_item_id: str) -> Body:
    line = _line(work, work.find("invoice", invoice), line_item_id, param="line_item_id")
    item = item_of(work, line)
    if item is None:
        raise not_simulated("changes of a line that a subscription put on an invoice")
    invoiceitems.update(work, params, item["id"])
    return line


def _changed(work: Work, invoice: Body, params: Body) -> Body:
    before = {**invoice}
    metadata = merge_metadata(invoice["metadata"], params.get("invoice_metadata", {}))
    work.change(invoice, metadata=metadata)
    invoicing.retotal(work, invoice)
    announce_difference(work, invoice, before)
    return invoice


def _add(work: Work, invoice: Body, wanted: Body, at: str) -> None:
    require_simulated(wanted, frozenset({*_FIELDS.split(), "invoice_item"}), where=at)
    customer = work.find("customer", invoice["customer"])
    if "invoice_item" not in wanted:
        invoiceitems.new_item(work, wanted, customer, invoice)
        return
    item = work.find("invoiceitem", wanted["invoice_item"], param=f"{at}[invoice_item]")
    if item["invoice"] or item["customer"] != customer["id"]:
        raise invalid("The item is not a pending one of this customer.", param=at)
    invoicing.add_line(work, invoice, item_line(work, item))


def _line(work: Work, invoice: Body, id: str, *, param: str) -> Body:
    line = work.get("line_item", id)
    if line is None or line["invoice"] != invoice["id"]:
        raise no_such(invoice_lines.label, id, param=param)
    return line
