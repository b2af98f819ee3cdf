"""What becomes of a subscription by what becomes of its invoices and its setup intent."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.ending import ENDED, end
from stripe_sandbox.flows.invoice_lines import subscription_id
from stripe_sandbox.flows.pausing import activate
from stripe_sandbox.flows.renewing import announce

_OWING = ("past_due", "unpaid")


def follow_payment(work: Work, invoice: Body) -> None:
    """An invoice was paid: the subscription begins, or is no longer behind."""
    subscription = _of(work, invoice)
    if subscription is None:
        return
    new = _kept_method(work, subscription, invoice)
    if subscription["status"] == "incomplete":
        announce(work, subscription, **new, status="active")
    else:
        _clear(work, subscription, invoice, new)


def follow_processing(work: Work, intent: Body) -> None:
    """A debit is on its way: the subscription begins, and is behind if the debit fails."""
    invoice = work.get("invoice", work.note(intent["id"]).get("invoice"))
    subscription = _of(work, invoice) if invoice else None
    if subscription and subscription["status"] == "incomplete":
        announce(work, subscription, status="active")


def follow_failure(work: Work, invoice: Body) -> None:
    """An attempt has failed; after the last one by itself the subscription is over."""
    subscription = _of(work, invoice)
    if subscription is None or subscription["status"] in ("incomplete", "paused"):
        return
    retried = invoice["auto_advance"] and invoice["billing_reason"] != "subscription_create"
    if retried and invoice["next_payment_attempt"] is None:
        end(work, subscription, reason="payment_failed")
    elif subscription["status"] == "active":
        announce(work, subscription, status="past_due")


def follow_delay(work: Work, invoice: Body) -> None:
    """An invoice that was sent is overdue."""
    subscription = _of(work, invoice)
    if subscription and subscription["status"] == "active":
        announce(work, subscription, status="past_due")


def follow_void(work: Work, invoice: Body) -> None:
    """Nothing is owed for this invoice any more; one that was never begun with it is over."""
    subscription = _of(work, invoice)
    if subscription is None:
        return
    if subscription["status"] == "incomplete":
        announce(work, subscription, ended_at=work.now, status="incomplete_expired")
    elif subscription["status"] == "paused":
        work.remember(subscription["id"], resuming=None)
    else:
        _clear(work, subscription, invoice, {})


def follow_write_off(work: Work, invoice: Body) -> None:
    """An invoice was given up as uncollectible, and the subscription goes on."""
    subscription = _of(work, invoice)
    if subscription and subscription["status"] != "incomplete":
        _clear(work, subscription, invoice, {})


def follow_set_up(work: Work, intent: Body) -> None:
    """How the subscription will be paid has been set up."""
    for subscription in list(work.every("subscription", pending_setup_intent=intent["id"])):
        new: Body = {"pending_setup_intent": None}
        if _keeps_methods(subscription):
            new["default_payment_method"] = intent["payment_method"]
        announce(work, subscription, **new)


def _clear(work: Work, subscription: Body, invoice: Body, new: Body) -> None:
    latest = invoice["id"] == subscription["latest_invoice"]
    resuming = work.note(subscription["id"]).get("resuming") or {}
    if subscription["status"] == "paused" and resuming.get("invoice") == invoice["id"]:
        work.remember(subscription["id"], resuming=None)
        activate(work, subscription, **new)
    elif subscription["status"] in _OWING and latest:
        announce(work, subscription, **new, status="active")
    else:
        announce(work, subscription, **new)


def _of(work: Work, invoice: Body) -> Body | None:
    """The subscription that an invoice bills, unless it is over."""
    subscription = work.get("subscription", subscription_id(invoice))
    return subscription if subscription and subscription["status"] not in ENDED else None


def _kept_method(work: Work, subscription: Body, invoice: Body) -> Body:
    """The first payment's method, where it is to be the default of the subscription."""
    if not _keeps_methods(subscription):
        return {}
    payments = work.every("invoice_payment", invoice=invoice["id"], status="paid")
    ids = (payment["payment"]["payment_intent"] for payment in payments)
    intents = (work.get("payment_intent", id) for id in ids)
    method = next((intent["payment_method"] for intent in intents if intent), None)
    return {"default_payment_method": method} if method else {}


def _keeps_methods(subscription: Body) -> bool:
    wanted = subscription["payment_settings"]["save_default_payment_method"]
    return bool(wanted == "on_subscription")
