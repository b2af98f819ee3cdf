"""Pausing a subscription by request, and resuming it."""

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.changing import bill_change
from stripe_sandbox.flows.ending import credits_for
from stripe_sandbox.flows.periods import period_around
from stripe_sandbox.flows.proration import Share, remaining, unused
from stripe_sandbox.flows.renewing import PAYABLE_FOR, announce, begin_cycle, pause
from stripe_sandbox.flows.subscription_billing import bill, collect, pend, period_lines
from stripe_sandbox.flows.subscription_items import items_of, move, shown
from stripe_sandbox.flows.subscription_terms import planned_end

_PAUSABLE = ("active", "past_due", "trialing", "unpaid")


def pause_by_request(work: Work, subscription: Body, params: Body) -> None:
    """Stop the cycle; by default what is unused is credited on the next invoice."""
    if subscription["status"] not in _PAUSABLE:
        raise refused(
            f"A subscription with a status of `{subscription['status']}` cannot be paused."
        )
    since = params.get("bill_for", {}).get("unused_time_from", {}).get("type", "now")
    shares = _unused_since(work, subscription, since)
    pend(work, subscription, shares)
    new: Body = {}
    if shares and params.get("invoicing_behavior") == "invoice":
        invoice = bill(work, subscription, reason="subscription_update")
        collect(work, subscription, invoice)
        new["latest_invoice"] = invoice["id"]
    pause(work, subscription, why="pause_requested", **new)


def resume(work: Work, subscription: Body, params: Body) -> None:
    """Begin a new cycle, or go on with the old one; what is due for it is billed at once.

    With `resume_on_payment_success` the subscription stays paused until that is paid.
    """
    if subscription["status"] != "paused":
        raise refused("Only a subscription with a status of `paused` can be resumed.")
    if subscription["collection_method"] != "charge_automatically":
        raise refused("Only subscriptions that are charged automatically can be resumed.")
    anew = params.get("billing_cycle_anchor", {}).get("type", "now") == "now"
    behavior = "none" if anew else params.get("proration_behavior", "create_prorations")
    new, lines = _begin_again(work, subscription) if anew else _go_on(work, subscription)
    shares = [] if behavior == "none" else _remaining_from(work, subscription, params)
    pend(work, subscription, shares)
    new["items"] = shown(work, subscription)
    if not lines and not (shares and behavior == "always_invoice"):
        activate(work, subscription, **new)
    elif params.get("payment_behavior") == "resume_on_payment_success":
        _wait_for_payment(work, subscription, lines, new)
    else:
        activate(work, subscription, **new)
        bill_change(work, subscription, lines, {}, {"off_session": True})


def activate(work: Work, subscription: Body, **changes: object) -> None:
    announce(work, subscription, **changes, status="active", status_details=None)
    work.emit("customer.subscription.resumed", subscription)


def _unused_since(work: Work, subscription: Body, since: str) -> list[Share]:
    items = items_of(work, subscription)
    if since == "now":
        return credits_for(work, subscription, items, at=work.now)
    whole = () if since == "none" else items
    return [s for i in whole for s in unused(work, [i], at=i["current_period_start"])]


def _begin_again(work: Work, subscription: Body) -> tuple[Body, list[Body]]:
    items = items_of(work, subscription)
    begin_cycle(work, subscription, items)
    new = {"billing_cycle_anchor": work.now, **planned_end(work, subscription, {})}
    return new, period_lines(work, {**subscription, **new}, items)


def _go_on(work: Work, subscription: Body) -> tuple[Body, list[Body]]:
    anchor = subscription["billing_cycle_anchor"]
    for item in items_of(work, subscription):
        if item["current_period_end"] <= work.now:
            move(work, item, period_around(anchor, item["price"]["recurring"], work.now))
    return {}, []


def _remaining_from(work: Work, subscription: Body, params: Body) -> list[Share]:
    at = params.get("proration_date", work.now)
    return remaining(work, subscription, items_of(work, subscription), at=at)


def _wait_for_payment(work: Work, subscription: Body, lines: list[Body], new: Body) -> None:
    view = {**subscription, **new}
    invoice = bill(work, view, reason="subscription_update", lines=lines)
    until = work.now + PAYABLE_FOR
    work.remember(subscription["id"], resuming={"invoice": invoice["id"], "until": until})
    announce(work, subscription, **new, latest_invoice=invoice["id"])
    collect(work, subscription, invoice, behavior="default_incomplete")
