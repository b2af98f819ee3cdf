"""Invoices, their lines and their payments."""

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments, invoicing
from stripe_sandbox.flows.invoice_lines import item_of, lines_of, subscription_id
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.money import known_currency
from stripe_sandbox.flows.reckoning import TERMS, terms
from stripe_sandbox.resources.payment_methods import usable_method


def _is_by(payment: Body, wanted: object) -> bool:
    return isinstance(wanted, dict) and wanted.items() <= payment["payment"].items()


invoices = Resource(
    "invoice",
    id_prefix="in",
    param="invoice",
    filters={"subscription": lambda invoice, wanted: subscription_id(invoice) == wanted},
    search="created currency customer last_finalization_error_code last_finalization_error_type"
    " metadata number receipt_number status subscription total",
    search_paths={
        "last_finalization_error_code": "last_finalization_error.code",
        "last_finalization_error_type": "last_finalization_error.type",
        "subscription": "parent.subscription_details.subscription",
    },
)

invoice_payment = Resource(
    "invoice_payment", id_prefix="inpay", param="invoice_payment", filters={"payment": _is_by}
)
invoice_lines = Resource("line_item", id_prefix="il", label="invoice line item")

_FIELDS = (
    "auto_advance collection_method custom_fields default_payment_method description due_date"
    " footer metadata payment_settings statement_descriptor"
)


@invoices.on(
    "post",
    "/v1/invoices",
    takes=f"{_FIELDS} {TERMS} currency customer days_until_due pending_invoice_items_behavior",
)
def create(work: Work, params: Body) -> Body:
    customer = work.named("customer", params)
    currency = known_currency(params.get("currency") or customer["currency"] or "usd")
    _require_sound(work, params, params)
    pending = params.get("pending_invoice_items_behavior") == "include"
    body = {"object": "invoice", "customer": customer["id"]}
    return invoicing.draft(
        work,
        customer,
        currency=currency,
        billing_reason="manual",
        lines=invoicing.pending_lines(work, customer, currency) if pending else (),
        **{"auto_advance": False, **given(params, f"{_FIELDS} days_until_due")},
        **terms(work, params, body, currency=currency),
    )


@invoices.acts("/v1/invoices/{invoice}", takes=f"{_FIELDS} {TERMS}")
def update(work: Work, invoice: Body, params: Body) -> None:
    invoicing.require_editable(invoice, params)
    _require_sound(work, params, {**invoice, **params})
    new = changes(invoice, params, _FIELDS)
    new |= terms(work, params, invoice, currency=invoice["currency"])
    before = {**invoice}
    work.change(invoice, **new)
    if any(name in params for name in TERMS.split()):
        invoicing.retotal(work, invoice)
    if "auto_advance" in new:
        invoicing.plan(work, invoice)
    _announce_difference(work, invoice, before)


@invoices.on("delete", "/v1/invoices/{invoice}")
def delete(work: Work, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    if body["status"] != "draft":
        raise refused("You can only delete draft invoices.", code="invoice_not_editable")
    if subscription_id(body):
        raise refused("You can't delete invoices created by subscriptions.")
    for line in lines_of(work, body):
        if item := item_of(work, line):
            work.change(item, invoice=None)
        work.delete(line, leave_trace=False)
    work.unschedule(invoicing.FINALIZE, body)
    work.emit("invoice.deleted", body)
    return work.delete(body, leave_trace=False)


@invoices.acts("/v1/invoices/{invoice}/finalize", takes="auto_advance")
def finalize(work: Work, invoice: Body, params: Body) -> None:
    if invoice["status"] == "draft":
        work.change(invoice, **changes(invoice, params, "auto_advance"))
    invoicing.finalize(work, invoice)
    invoicing.plan(work, invoice)


@invoices.acts("/v1/invoices/{invoice}/pay", takes="off_session paid_out_of_band payment_method")
def pay(work: Work, invoice: Body, params: Body) -> None:
    if params.get("paid_out_of_band"):
        invoicing.settle_elsewhere(work, invoice)
        return
    chosen = params.get("payment_method")
    method = usable_method(work, chosen) if chosen else None
    invoicing.pay(work, invoice, method=method, off_session=params.get("off_session", True))


invoices.acts("/v1/invoices/{invoice}/send")(invoicing.send)
invoices.acts("/v1/invoices/{invoice}/void")(invoicing.void)
invoices.acts("/v1/invoices/{invoice}/mark_uncollectible")(invoicing.mark_uncollectible)


@invoice_lines.on("get", "/v1/invoices/{invoice}/lines", takes="limit starting_after ending_before")
def lines(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    return page(lines_of(work, body), invoice_lines.label, params, url=body["lines"]["url"])


@invoices.includes("payments")
def payments(work: Work, invoice: Body) -> Body:
    found = work.every("invoice_payment", invoice=invoice["id"])
    return as_list([dict(payment) for payment in found], url="/v1/invoice_payments")


@invoices.includes("confirmation_secret")
def confirmation_secret(work: Work, invoice: Body) -> Body | None:
    intent = invoice_payments.intent_of(work, invoice)
    return intent and {"client_secret": intent["client_secret"], "type": "payment_intent"}


@invoices.job(invoicing.FINALIZE)
def finalize_by_itself(work: Work, invoice: Body) -> None:
    customer = work.get("customer", invoice["customer"])
    if customer is None or customer.get("deleted"):
        return  # nobody is left to pay it
    invoicing.finalize(work, invoice)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        invoicing.collect(work, invoice)


invoices.job(invoice_payments.COLLECT)(invoicing.collect)


@invoices.job(invoice_payments.OVERDUE)
def become_overdue(work: Work, invoice: Body) -> None:
    work.emit("invoice.overdue", invoice)


invoices.follows("customer.updated")(invoicing.follow_customer)
invoices.follows("payment_intent.succeeded")(invoice_payments.follow_success)
invoices.follows("payment_intent.payment_failed")(invoice_payments.follow_failure)
invoices.follows("payment_intent.requires_action")(invoice_payments.follow_challenge)


@invoices.follows("payment_intent.canceled")
def follow_cancellation(work: Work, intent: Body) -> None:
    if invoice := invoice_payments.follow_cancellation(work, intent):
        invoicing.void(work, invoice)


def _announce_difference(work: Work, invoice: Body, before: Body) -> None:
    """One event about all that has changed since."""
    new = {name: value for name, value in invoice.items() if before[name] != value}
    work.change(invoice, **{name: before[name] for name in new})
    work.announce("invoice.updated", invoice, **new)


def _require_sound(work: Work, params: Body, whole: Body) -> None:
    settings = params.get("payment_settings") or {}
    require_simulated(settings, "payment_method_types", where="payment_settings")
    name = "default_payment_method"
    if params.get(name):
        method = work.find("payment_method", params[name], param=name)
        if method["customer"] != whole["customer"]:
            text = "The payment method must be attached to the customer of the invoice."
            raise invalid(text, param=name)
    dates = [name for name in ("days_until_due", "due_date") if whole.get(name) is not None]
    sends = whole.get("collection_method") == "send_invoice"
    if dates and not sends:
        text = "`days_until_due` and `due_date` can only be set if `collection_method` is"
        raise invalid(f"{text} `send_invoice`.", param=dates[0])
    if sends and not dates:
        text = "When an invoice's `collection_method` is set to `send_invoice`, you must specify"
        text += " either `due_date` or `days_until_due`."
        raise invalid(text, code="parameter_missing", param="days_until_due")
