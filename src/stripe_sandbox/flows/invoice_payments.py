"""How an invoice is paid: its payment intent, attempts and retries, and what came of them."""

from typing import Any

from stripe_sandbox.contract.errors import CardDeclined, StripeError, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import intents, paying
from stripe_sandbox.flows.collecting import release
from stripe_sandbox.flows.invoice_lines import subscription_id

COLLECT, OVERDUE = "invoice.collect", "invoice.overdue"
RETRY_AFTER = (3, 5, 7)  # days after the first attempt
_DAY = 24 * 3600
_PAYABLE = ("open", "uncollectible")


def request(work: Work, invoice: Body, intent: Body | None = None) -> Body:
    """Ask for what is due, by a payment intent of the invoice's own unless one is given."""
    intent = intent or _new_intent(work, invoice)
    work.remember(intent["id"], invoice=invoice["id"])
    return work.create(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="open",
    )


def attempt(
    work: Work, invoice: Body, *, method: Body | None = None, off_session: bool = True
) -> None:
    """Try to collect an open invoice, unless a debit for it is already on its way.

    Raises:
        CardDeclined: the attempt failed, or waits for the customer's authentication.
    """
    intent = intent_of(work, invoice)
    chosen = method or default_method(work, invoice)
    if intent is None or chosen is None:
        raise _no_method()
    if intent["status"] == "processing":
        return
    paying.attempt(work, intent, chosen, off_session=off_session, waits=True)
    if off_session and intent["status"] == "requires_action":
        fail(work, invoice)
        raise CardDeclined(
            "This payment requires additional user action before it can be completed successfully."
            " Payment can be completed using the PaymentIntent associated with the invoice.",
            code="invoice_payment_intent_requires_action",
            payment_intent=dict(intent),
        )


def settle(work: Work, invoice: Body, **changes: Any) -> None:
    """The invoice is paid: by its payment, outside of Stripe, or because nothing is due."""
    stop(work, invoice)
    work.announce(
        "invoice.updated",
        invoice,
        **{"amount_paid": invoice["amount_due"], "amount_remaining": 0, **changes},
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
        status="paid",
        status_transitions={**invoice["status_transitions"], "paid_at": work.now},
    )
    work.emit("invoice.paid", invoice)
    if "amount_paid_off_stripe" not in changes:
        work.emit("invoice.payment_succeeded", invoice)


def fail(work: Work, invoice: Body) -> None:
    """An attempt has failed; what is collected automatically is tried again later."""
    count = _counted(work, invoice)
    work.announce(
        "invoice.updated",
        invoice,
        attempt_count=count,
        attempted=True,
        next_payment_attempt=_next_attempt(work, invoice, count),
    )
    work.unschedule(COLLECT, invoice)
    if at := invoice["next_payment_attempt"]:
        work.schedule(COLLECT, invoice, at=at)
    work.emit("invoice.payment_failed", invoice)


def ask_for(work: Work, invoice: Body, amount: int) -> None:
    """Another amount is due from now on."""
    for payment in work.every("invoice_payment", invoice=invoice["id"], status="open"):
        work.change(payment, amount_requested=amount)
    if intent := intent_of(work, invoice):
        work.change(intent, amount=amount)


def give_up(work: Work, invoice: Body, *, reason: str) -> None:
    """The payment intent is not needed any more."""
    intent = intent_of(work, invoice)
    if intent and intent["status"] in paying.CANCELABLE:
        release(work, intent, reason=reason)


def stop(work: Work, invoice: Body) -> None:
    """Nothing is tried any more by itself, and nothing becomes overdue."""
    work.unschedule(COLLECT, invoice)
    work.unschedule(OVERDUE, invoice)


def follow_success(work: Work, intent: Body) -> None:
    invoice, payment = _paid_by(work, intent)
    if not payment or invoice["status"] not in _PAYABLE:
        return
    amount = intent["amount_received"]
    _end(work, payment, "paid", amount_paid=amount)
    work.emit("invoice_payment.paid", payment)
    settle(work, invoice, amount_paid=amount, attempt_count=_counted(work, invoice))


def follow_failure(work: Work, intent: Body) -> None:
    invoice, _ = _paid_by(work, intent)
    if invoice.get("status") in _PAYABLE:
        fail(work, invoice)


def follow_challenge(work: Work, intent: Body) -> None:
    invoice, _ = _paid_by(work, intent)
    if invoice:
        work.emit("invoice.payment_action_required", invoice)


def follow_cancellation(work: Work, intent: Body) -> Body | None:
    """Returns the invoice that has lost its only way to be paid."""
    invoice, payment = _paid_by(work, intent)
    if not payment:
        return None
    _end(work, payment, "canceled")
    return invoice if invoice["status"] in _PAYABLE else None


def default_method(work: Work, invoice: Body) -> Body | None:
    """The invoice's own, else its subscription's, else the customer's."""
    subscription = work.get("subscription", subscription_id(invoice)) or {}
    settings = (work.get("customer", invoice["customer"]) or {}).get("invoice_settings") or {}
    holders = (invoice, subscription, settings)
    found = (work.get("payment_method", holder.get("default_payment_method")) for holder in holders)
    return next((method for method in found if method), None)


def intent_of(work: Work, invoice: Body) -> Body | None:
    """The payment intent that still can pay it."""
    payments = work.every("invoice_payment", invoice=invoice["id"], status="open")
    ids = (payment["payment"]["payment_intent"] for payment in payments)
    return next((intent for id in ids if (intent := work.get("payment_intent", id))), None)


def refuse_unless_open(invoice: Body, *, but: tuple[str, ...] = ("uncollectible",)) -> None:
    if invoice["status"] == "paid":
        raise refused("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in ("open", *but):
        raise refused("You can only pass in open invoices. This invoice isn't open.")


def _new_intent(work: Work, invoice: Body) -> Body:
    types = invoice["payment_settings"]["payment_method_types"] or intents.TYPES
    return paying.new_intent(
        work,
        amount=invoice["amount_due"],
        automatic_payment_methods=None,
        currency=invoice["currency"],
        customer=invoice["customer"],
        description=_description(invoice),
        payment_method_types=[type for type in intents.TYPES if type in types],
        setup_future_usage="off_session" if invoice["parent"] else None,
        statement_descriptor=invoice["statement_descriptor"],
    )


def _description(invoice: Body) -> str:
    """Stripe's words for what a payment is for."""
    if not invoice["parent"]:
        return f"Invoice {invoice['number']}"
    begins = invoice["billing_reason"] == "subscription_create"
    return "Subscription creation" if begins else "Subscription update"


def _next_attempt(work: Work, invoice: Body, count: int) -> int | None:
    """A subscription that begins with a failure waits for its customer instead."""
    automatic = invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically"
    if not automatic or invoice["billing_reason"] == "subscription_create":
        return None
    first = work.note(invoice["id"]).get("first_attempt") or work.now
    work.remember(invoice["id"], first_attempt=first)
    due = (first + days * _DAY for days in RETRY_AFTER[count - 1 :])
    return next((at for at in due if at > work.now), None)


def _counted(work: Work, invoice: Body) -> int:
    """The attempts with this one: only the first and automatic ones are counted."""
    count: int = invoice["attempt_count"]
    return count + bool(count == 0 or work.note(invoice["id"]).get("retrying"))


def _end(work: Work, payment: Body, status: str, **changes: Any) -> None:
    times = {**payment["status_transitions"], f"{status}_at": work.now}
    work.change(payment, status=status, status_transitions=times, **changes)


def _paid_by(work: Work, intent: Body) -> tuple[Body, Body]:
    """The invoice and the invoice payment that an intent pays; empty where it pays none."""
    invoice = work.get("invoice", work.note(intent["id"]).get("invoice")) or {}
    payments = work.every("invoice_payment", invoice=invoice["id"]) if invoice else ()
    mine = (p for p in payments if p["payment"]["payment_intent"] == intent["id"])
    return invoice, next(mine, {})


def _no_method() -> StripeError:
    return refused(
        "This customer has no attached payment source or default payment method. Please consider"
        " adding a default payment method. For more information, visit"
        " https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
        "#payment-method-priority.",
        code="resource_missing",
    )
