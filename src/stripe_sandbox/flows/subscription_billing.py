"""What a subscription bills: its lines, its pending items, its invoices, and how these are paid."""

from collections.abc import Iterable
from typing import Any

from stripe_sandbox.contract.errors import CardDeclined, StripeError
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.invoice_lines import (
    lines_of,
    price_line,
    pricing_of,
    subscription_id,
)
from stripe_sandbox.flows.periods import Period, period_around
from stripe_sandbox.flows.proration import Share, note_billed, remaining
from stripe_sandbox.flows.subscription_items import period_of
from stripe_sandbox.flows.subscription_terms import LEAVE_DRAFT
from stripe_sandbox.resources import invoiceitems

_INHERITED = ("collection_method", "days_until_due")
_EXTRA = frozenset({"discountable", "metadata", "price", "price_data", "quantity"})


def bill(
    work: Work, subscription: Body, *, reason: str, lines: Iterable[Body] = (), **fields: Any
) -> Body:
    """Draft an invoice of these lines and of the items that wait for one."""
    inherited = {name: subscription[name] for name in _INHERITED if subscription[name] is not None}
    settings = subscription["invoice_settings"]
    types = subscription["payment_settings"]["payment_method_types"]
    invoice = invoicing.draft(
        work,
        work.find("customer", subscription["customer"]),
        currency=subscription["currency"],
        billing_reason=reason,
        lines=lines,
        subscription=subscription,
        **inherited,
        **{name: settings[name] for name in ("custom_fields", "description", "footer")},
        payment_settings={"payment_method_types": types},
        **fields,
    )
    for line in lines_of(work, invoice):
        _note_billed(work, line)
    return invoice


def collect(
    work: Work,
    subscription: Body,
    invoice: Body,
    *,
    behavior: str = "allow_incomplete",
    off_session: bool = True,
) -> None:
    """Finalise an invoice and pay it, unless the customer is to do so.

    Raises:
        StripeError: it is not paid, and the behaviour is `error_if_incomplete`.
    """
    if behavior == LEAVE_DRAFT or invoice["collection_method"] == "send_invoice":
        return  # it is finalised and sent an hour later
    invoicing.finalize(work, invoice)
    if invoice["status"] != "open" or behavior == "default_incomplete":
        return
    method = default_method(work, subscription)
    try:
        invoicing.pay(work, invoice, method=method, off_session=off_session)
    except CardDeclined as declined:
        if behavior == "error_if_incomplete":
            raise StripeError(declined.status, **declined.error) from None
    if behavior == "error_if_incomplete" and invoice["status"] == "open":
        raise StripeError(
            402,
            "card_error",
            "Payment for this subscription requires additional user action before it can be"
            " completed successfully. Payment can be completed using the PaymentIntent associated"
            " with `subscription.latest_invoice`.",
            code="subscription_payment_intent_requires_action",
        )


def default_method(work: Work, subscription: Body) -> Body | None:
    customer = work.find("customer", subscription["customer"])
    chosen = subscription["default_payment_method"]
    return work.get(
        "payment_method", chosen or customer["invoice_settings"]["default_payment_method"]
    )


def period_lines(
    work: Work, subscription: Body, items: Iterable[Body], *, prorate: bool = True
) -> list[Body]:
    """Each item for its period: its share of a whole one, unless that is not to be prorated."""
    lines = []
    for item in items:
        recurring, start = item["price"]["recurring"], item["current_period_start"]
        anchor = subscription["billing_cycle_anchor"]
        whole = period_of(item) == period_around(anchor, recurring, start)
        if subscription["status"] == "trialing":
            lines.append(_trial_line(work, subscription, item))
        elif whole or not prorate:
            lines.append(_line(work, subscription, item, period=period_of(item)))
        else:
            lines += [
                _share_line(work, subscription, share)
                for share in remaining(work, {**subscription, "discounts": []}, [item])
            ]
    return lines


def pend(work: Work, subscription: Body, shares: Iterable[Share]) -> None:
    """Leave shares as invoice items for the next invoice of the subscription."""
    for share in reversed(list(shares)):
        details = {"subscription": subscription["id"], "subscription_item": share.item["id"]}
        start, end = share.period
        item = work.create(
            "invoiceitem",
            amount=share.amount,
            currency=subscription["currency"],
            customer=subscription["customer"],
            date=work.now,
            description=share.description,
            discountable=False,
            discounts=[],
            net_amount=share.amount,
            parent={"type": "subscription_details", "subscription_details": details},
            period={"start": start, "end": end},
            pricing=pricing_of(share.item["price"]),
            proration=True,
            quantity=share.item["quantity"],
            quantity_decimal=str(share.item["quantity"]),
            tax_rates=[],
            test_clock=subscription["test_clock"],
        )
        work.emit("invoiceitem.created", item)


def pend_extras(work: Work, subscription: Body, extras: Iterable[Body]) -> None:
    """Leave what is bought once for the next invoice: the parameter `add_invoice_items`."""
    for i, extra in enumerate(extras):
        require_simulated(extra, _EXTRA, where=f"add_invoice_items[{i}]")
        details = dict(extra)
        if price := details.pop("price", None):
            details["pricing"] = {"price": price["id"] if isinstance(price, dict) else price}
        owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
        invoiceitems.create(work, {**details, **owner})


def pending_of(work: Work, subscription: Body) -> list[Body]:
    """What waits for the next invoice of this subscription alone."""
    waiting = work.every("invoiceitem", customer=subscription["customer"], invoice=None)
    return [item for item in waiting if subscription_id(item) == subscription["id"]]


def _note_billed(work: Work, line: Body) -> None:
    details = (line["parent"] or {}).get("subscription_item_details")
    if details and not details["invoice_item"]:
        net = line["amount"] - sum(entry["amount"] for entry in line["discount_amounts"])
        item, period = {"id": details["subscription_item"]}, line["period"]
        note_billed(work, item, net, (period["start"], period["end"]))


def _share_line(work: Work, subscription: Body, share: Share) -> Body:
    shown = {"amount": share.amount, "description": share.description}
    return _line(work, subscription, share.item, period=share.period, proration=True, **shown)


def _trial_line(work: Work, subscription: Body, item: Body) -> Body:
    product = work.get("product", item["price"]["product"]) or {}
    text = f"Trial period for {product.get('name')}"
    return _line(work, subscription, item, period=period_of(item), amount=0, description=text)


def _line(
    work: Work, of: Body, billed: Body, *, period: Period, proration: bool = False, **fields: Any
) -> Body:
    """A line of this subscription for this item."""
    details = {"proration": proration, "subscription": of["id"], "subscription_item": billed["id"]}
    parent = {"type": "subscription_item_details", "subscription_item_details": details}
    fields |= {"metadata": dict(of["metadata"]), "parent": parent, "subscription": of["id"]}
    price, quantity = billed["price"], billed["quantity"]
    return price_line(work, price=price, quantity=quantity, period=period, **fields)
