"""How a subscription ends: canceled by request, by its customer's debts, or never begun."""

from collections.abc import Iterable

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments, invoicing
from stripe_sandbox.flows.invoice_lines import subscription_id
from stripe_sandbox.flows.proration import Share, unused
from stripe_sandbox.flows.subscription_billing import bill, collect, pend, pending_of
from stripe_sandbox.flows.subscription_items import items_of
from stripe_sandbox.flows.subscription_terms import whole

ENDED = ("canceled", "incomplete_expired")


def cancel(
    work: Work,
    subscription: Body,
    *,
    prorate: bool = False,
    invoice_now: bool = False,
    behavior: str = "allow_incomplete",
) -> None:
    """Cancel at once by request; what is pending is billed, kept or dropped."""
    if prorate:
        pend(
            work,
            subscription,
            credits_for(work, subscription, items_of(work, subscription), at=work.now),
        )
    if invoice_now and pending_of(work, subscription):
        invoice = bill(work, subscription, reason="subscription_update")
        work.change(subscription, latest_invoice=invoice["id"])
        collect(work, subscription, invoice, behavior=behavior)
    elif not prorate:
        for item in [item for item in pending_of(work, subscription) if item["proration"]]:
            work.emit("invoiceitem.deleted", item)
            work.delete(item, leave_trace=False)
    end(work, subscription, reason="cancellation_requested")


def end(work: Work, subscription: Body, *, reason: str) -> None:
    """Nothing is billed or collected any more; an invoice it never began with is void."""
    unbegun = subscription["status"] == "incomplete"
    details = {**(subscription["cancellation_details"] or {}), "reason": reason}
    work.change(
        subscription,
        **whole({"cancellation_details": details}),
        canceled_at=subscription["canceled_at"] or work.now,
        ended_at=work.now,
        status="canceled",
    )
    work.emit("customer.subscription.deleted", subscription)
    for invoice in _uncollected(work, subscription):
        if unbegun:
            invoicing.void(work, invoice)
        else:
            _leave(work, invoice)


def credits_for(
    work: Work, subscription: Body, items: Iterable[Body], *, at: int | None
) -> list[Share]:
    """What items give back from this moment on; what is not billed gives nothing."""
    if at is None or subscription["status"] in ("trialing", "incomplete", "paused"):
        return []
    return unused(work, items, at=at)


def _uncollected(work: Work, subscription: Body) -> list[Body]:
    theirs = work.every("invoice", customer=subscription["customer"])
    waiting = [invoice for invoice in theirs if invoice["status"] in ("draft", "open")]
    return [invoice for invoice in waiting if subscription_id(invoice) == subscription["id"]]


def _leave(work: Work, invoice: Body) -> None:
    """Do nothing more with an invoice unless somebody asks for it."""
    work.unschedule(invoicing.FINALIZE, invoice)
    invoice_payments.stop(work, invoice)
    new: Body = {"auto_advance": False, "automatically_finalizes_at": None}
    work.announce("invoice.updated", invoice, **new, next_payment_attempt=None)
