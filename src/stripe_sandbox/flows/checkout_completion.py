"""What a completed Checkout Session leaves behind: a subscription, an invoice, a kept method."""

from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts, invoicing
from stripe_sandbox.flows.following import follow_processing
from stripe_sandbox.flows.invoice_lines import price_line
from stripe_sandbox.flows.invoice_payments import follow_success
from stripe_sandbox.flows.subscribing import subscribe


def complete(work: Work, session: Body, intent: Body | None) -> None:
    """Complete a session whose intent, if it needed one, has taken its method."""
    _update_customer(work, session)
    if session["mode"] == "subscription":
        _begin_subscription(work, session, intent)
    elif session["mode"] == "payment":
        _redeem(work, session)
        if session["invoice_creation"]["enabled"]:
            _make_invoice(work, session, intent)
    status = session["payment_status"]
    if status == "unpaid" and intent and intent["status"] == "succeeded":
        status = "paid"
    work.change(session, status="complete", payment_status=status, url=None)
    event = work.emit("checkout.session.completed", session)
    work.remember(session["id"], completed=event["id"])


def _begin_subscription(work: Work, session: Body, intent: Body | None) -> None:
    note = work.note(session["id"])
    customer = work.find("customer", session["customer"])
    items: list[Body] = []
    extras: list[Body] = []
    for line in note["lines"]:
        recurs = bool(line["price"]["recurring"])
        bought = {
            "price": line["price"] if recurs else line["price"]["id"],
            "quantity": line["quantity"],
        }
        (items if recurs else extras).append(bought)
    params: Body = {
        **note["data"],
        "automatic_tax": {"enabled": session["automatic_tax"]["enabled"]},
        "items": items,
        "off_session": False,
        "payment_behavior": "allow_incomplete",
    }
    if extras:
        params["add_invoice_items"] = extras
    if note["wanted"]:
        params["discounts"] = note["wanted"]
    if intent:
        params["default_payment_method"] = intent["payment_method"]
    paid_by = intent if intent and intent["object"] == "payment_intent" else None
    subscription = subscribe(work, customer, params, paid_by=paid_by)
    if paid_by and paid_by["status"] == "processing":
        follow_processing(work, paid_by)
    invoice = subscription["latest_invoice"]
    work.change(session, subscription=subscription["id"], invoice=invoice)


def _make_invoice(work: Work, session: Body, intent: Body | None) -> None:
    """The invoice of a payment that is made already."""
    note = work.note(session["id"])
    customer = work.find("customer", session["customer"])
    now = (work.now, work.now)
    lines = [
        price_line(work, price=line["price"], quantity=line["quantity"], period=now)
        for line in note["lines"]
    ]
    data: dict[str, Any] = session["invoice_creation"]["invoice_data"]
    invoice = invoicing.draft(
        work,
        customer,
        currency=session["currency"],
        billing_reason="manual",
        lines=lines,
        auto_advance=False,
        automatic_tax={"enabled": session["automatic_tax"]["enabled"]},
        discounts=note["discounts"],
        **{name: data[name] for name in ("custom_fields", "description", "footer", "metadata")},
    )
    work.change(session, invoice=invoice["id"])
    invoicing.finalize(work, invoice, intent=intent)
    if intent and intent["status"] == "succeeded":
        follow_success(work, intent)


def _redeem(work: Work, session: Body) -> None:
    for id in work.note(session["id"])["discounts"]:
        discounts.count(work, work.find("discount", id))


def _update_customer(work: Work, session: Body) -> None:
    """`customer_update` lets the page's name become the customer's."""
    name = (session["customer_details"] or {}).get("name")
    if work.note(session["id"])["updates"].get("name") == "auto" and name:
        work.announce("customer.updated", work.find("customer", session["customer"]), name=name)
