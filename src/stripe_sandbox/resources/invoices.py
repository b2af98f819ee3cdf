"""Invoices and their lines."""

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments, invoicing
from stripe_sandbox.flows.invoice_lines import lines_of, remove_line
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.money import known_currency
from stripe_sandbox.flows.reckoning import TERMS, terms
from stripe_sandbox.resources.payment_methods import usable_method


def _subscription_of(invoice: Body) -> object:
    return ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")


invoices = Resource(
    "invoice",
    id_prefix="in",
    param="invoice",
    filters={"subscription": lambda invoice, wanted: _subscription_of(invoice) == wanted},
    search=frozenset({"created", "currency", "customer", "metadata", "number", "status", "total"}),
)

_FIELDS = (
    "auto_advance automatically_finalizes_at collection_method custom_fields"
    " default_payment_method description due_date effective_at footer metadata number"
    " payment_settings statement_descriptor"
)


@invoices.on(
    "post",
    "/v1/invoices",
    takes=f"{_FIELDS} {TERMS} currency customer days_until_due pending_invoice_items_behavior"
    " subscription",
)
def create(work: Work, params: Body) -> Body:
    if "customer" not in params:
        text = "Missing required param: customer."
        raise invalid(text, code="parameter_missing", param="customer")
    customer = work.find("customer", params["customer"], param="customer")
    currency = known_currency(params.get("currency") or customer["currency"] or "usd")
    _require_sound(work, params, params)
    subscription = None
    if "subscription" in params:
        subscription = work.find("subscription", params["subscription"], param="subscription")
    pending = params.get("pending_invoice_items_behavior") == "include" and subscription is None
    body = {"object": "invoice", "customer": customer["id"]}
    return invoicing.draft(
        work,
        customer,
        currency=currency,
        billing_reason="manual",
        lines=invoicing.pending_lines(work, customer, currency) if pending else (),
        subscription=subscription,
        **{"auto_advance": False, **given(params, f"{_FIELDS} days_until_due")},
        **terms(work, params, body, currency=currency),
    )


@invoices.on("post", "/v1/invoices/{invoice}", takes=f"{_FIELDS} {TERMS} days_until_due")
def update(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.require_editable(body, params)
    _require_sound(work, params, {**body, **params})
    new = changes(body, params, _FIELDS) | terms(work, params, body, currency=body["currency"])
    if "days_until_due" in params:
        new["due_date"] = invoicing.due_in(work, params["days_until_due"])
    before = {**body}
    work.change(body, **new)
    if any(name in params for name in TERMS.split()):
        invoicing.retotal(work, body)
    if body["status"] == "draft" and {"auto_advance", "automatically_finalizes_at"} & new.keys():
        invoicing.plan(work, body)
    elif "auto_advance" in new:
        invoicing.collect_later(work, body)
    announce_difference(work, body, before)
    return body


@invoices.on("delete", "/v1/invoices/{invoice}")
def delete(work: Work, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    if body["status"] != "draft":
        raise refused("You can only delete draft invoices.", code="invoice_not_editable")
    if _subscription_of(body):
        raise refused("You can't delete invoices created by subscriptions.")
    for line in lines_of(work, body):
        remove_line(work, line, keep_item=True)
    work.unschedule(invoicing.FINALIZE, body)
    work.emit("invoice.deleted", body)
    return work.delete(body, leave_trace=False)


@invoices.on("post", "/v1/invoices/{invoice}/finalize", takes="auto_advance")
def finalize(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    if body["status"] == "draft":
        work.change(body, **changes(body, params, "auto_advance"))
    invoicing.finalize(work, body)
    invoicing.collect_later(work, body)
    return body


@invoices.on(
    "post", "/v1/invoices/{invoice}/pay", takes="off_session paid_out_of_band payment_method"
)
def pay(work: Work, params: Body, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    if params.get("paid_out_of_band"):
        invoicing.settle_elsewhere(work, body)
        return body
    chosen = params.get("payment_method")
    method = usable_method(work, chosen) if chosen else None
    invoicing.pay(work, body, method=method, off_session=params.get("off_session", True))
    return body


@invoices.on("post", "/v1/invoices/{invoice}/send")
def send(work: Work, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.send(work, body)
    return body


@invoices.on("post", "/v1/invoices/{invoice}/void")
def void(work: Work, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.void(work, body)
    return body


@invoices.on("post", "/v1/invoices/{invoice}/mark_uncollectible")
def mark_uncollectible(work: Work, invoice: str) -> Body:
    body = work.find("invoice", invoice)
    invoicing.mark_uncollectible(work, body)
    return body


@invoices.includes("payments")
def payments(work: Work, invoice: Body) -> Body:
    found = work.every("invoice_payment", invoice=invoice["id"])
    return as_list([dict(payment) for payment in found], url="/v1/invoice_payments")


@invoices.includes("confirmation_secret")
def confirmation_secret(work: Work, invoice: Body) -> Body | None:
    intent = invoice_payments.intent_of(work, invoice)
    return intent and {"client_secret": intent["client_secret"], "type": "payment_intent"}


@invoices.job(invoicing.FINALIZE)
def finalize_by_itself(work: Work, subject: str) -> None:
    invoice = work.find("invoice", subject)
    invoicing.finalize(work, invoice)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        invoicing.collect(work, invoice)


@invoices.job(invoice_payments.COLLECT)
def collect_by_itself(work: Work, subject: str) -> None:
    invoicing.collect(work, work.find("invoice", subject))


@invoices.job(invoice_payments.OVERDUE)
def become_overdue(work: Work, subject: str) -> None:
    work.emit("invoice.overdue", work.find("invoice", subject))


invoices.follows("payment_intent.succeeded")(invoice_payments.follow_success)
invoices.follows("payment_intent.payment_failed")(invoice_payments.follow_failure)
invoices.follows("payment_intent.requires_action")(invoice_payments.follow_challenge)


@invoices.follows("payment_intent.canceled")
def follow_cancellation(work: Work, intent: Body) -> None:
    if invoice := invoice_payments.follow_cancellation(work, intent):
        invoicing.void(work, invoice)


def announce_difference(work: Work, invoice: Body, before: Body) -> None:
    """One event about all that has changed since."""
    new = {name: value for name, value in invoice.items() if before[name] != value}
    work.change(invoice, **{name: before[name] for name in new})
    work.announce("invoice.updated", invoice, **new)


def _require_sound(work: Work, params: Body, whole: Body) -> None:
    settings = params.get("payment_settings") or {}
    require_simulated(settings, frozenset({"payment_method_types"}), where="payment_settings")
    if params.get("default_payment_method"):
        name = "default_payment_method"
        method = work.find("payment_method", params[name], param=name)
        if method["customer"] != whole["customer"]:
            text = "The payment method must be attached to the customer of the invoice."
            raise invalid(text, param=name)
    dated = any(whole.get(name) is not None for name in ("days_until_due", "due_date"))
    sends = whole.get("collection_method") == "send_invoice"
    if dated and not sends:
        raise invalid(
            "`days_until_due` and `due_date` can only be set if `collection_method` is"
            " `send_invoice`.",
            param="days_until_due" if "days_until_due" in params else "due_date",
        )
    if sends and not dated:
        raise invalid(
            "When an invoice's `collection_method` is set to `send_invoice`, you must specify"
            " either `due_date` or `days_until_due`.",
            code="parameter_missing",
            param="days_until_due",
        )
