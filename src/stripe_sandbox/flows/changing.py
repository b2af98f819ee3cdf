"""Changes of a subscription: its items with proration, its cycle, its trial, its settings."""

from stripe_sandbox.contract.errors import invalid, not_simulated, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts
from stripe_sandbox.flows.ending import ENDED, credits_for
from stripe_sandbox.flows.item_changes import adjust_ends, change_items, shares_of
from stripe_sandbox.flows.reckoning import terms
from stripe_sandbox.flows.renewing import (
    announce,
    begin_cycle,
    end_trial_without_method,
    warn_of_trial_end,
)
from stripe_sandbox.flows.subscription_billing import (
    bill,
    collect,
    pend,
    pend_extras,
    period_lines,
)
from stripe_sandbox.flows.subscription_items import items_of, move, period_of, shown
from stripe_sandbox.flows.subscription_terms import (
    end_of_trial,
    planned_end,
    require_sound,
    settings,
    whole,
)

_OWN = (
    "collection_method days_until_due default_payment_method description metadata pause_collection"
)
_EVEN_INCOMPLETE = frozenset({"cancellation_details", "default_payment_method", "metadata"})
_EVEN_ENDED = frozenset({"cancellation_details", "metadata"})
_NOT_BILLED = ("trialing", "paused", "incomplete")


def update(work: Work, subscription: Body, params: Body) -> None:
    """Change a subscription by the parameters of `POST /v1/subscriptions/{id}`.

    Raises:
        StripeError: a parameter is wrong, or what is due at once is not paid and the
            `payment_behavior` is `error_if_incomplete`.
    """
    _require_open_to(subscription, params)
    new = _plain_changes(work, subscription, params)
    held = subscription["discounts"]
    before = {item["id"]: dict(item) for item in items_of(work, subscription)}
    old_interval = change_items(work, subscription, params.get("items", []))
    restart = _restart(work, subscription, params, old_interval=old_interval)
    if _ends_trial(subscription, restart):
        warn_of_trial_end(work, subscription)
        if end_trial_without_method(work, subscription, **new, trial_end=work.now):
            return
    at = _proration_date(work, subscription, params)
    shares = (
        credits_for(work, subscription, before.values(), at=at)
        if restart
        else shares_of(work, subscription, before, at=at)
    )
    lines = _start_over(work, subscription, restart) if restart else []
    new |= planned_end(work, subscription, params)
    if "cancel_at" in new:
        shares += adjust_ends(work, {**subscription, **restart, **new}, at=at)
    pend(work, subscription, shares)
    pend_extras(work, subscription, params.get("add_invoice_items", []))
    at_once = lines or (shares and params.get("proration_behavior") == "always_invoice")
    new |= {**restart, "items": shown(work, subscription)}
    if at_once:
        bill_change(work, subscription, lines, new, params)
    else:
        announce(work, subscription, **new)
    if "discounts" in new:
        _tell_of_discounts(work, before=held, after=new["discounts"])


def bill_change(work: Work, subscription: Body, lines: list[Body], new: Body, params: Body) -> None:
    """Announce changes together with the invoice that they cause, and collect it."""
    invoice = bill(work, {**subscription, **new}, reason="subscription_update", lines=lines)
    announce(work, subscription, **new, latest_invoice=invoice["id"])
    behavior = params.get("payment_behavior", "allow_incomplete")
    off_session = params.get("off_session", False)
    collect(work, subscription, invoice, behavior=behavior, off_session=off_session)
    if invoice["status"] == "open" and subscription["status"] == "active":
        announce(work, subscription, status="past_due")


def _tell_of_discounts(work: Work, *, before: list[str], after: list[str]) -> None:
    for id in [id for id in before if id not in after]:
        discounts.end(work, work.find("discount", id))
    for id in [id for id in after if id not in before]:
        work.emit("customer.discount.created", work.find("discount", id))


def _plain_changes(work: Work, subscription: Body, params: Body) -> Body:
    customer = work.find("customer", subscription["customer"])
    collection = {**subscription, **params}["collection_method"]
    require_sound(work, customer, params, collection=collection)
    new = {
        **changes(subscription, params, _OWN),
        **settings(subscription, params),
        **terms(
            work,
            params,
            subscription,
            subscription=subscription["id"],
            currency=subscription["currency"],
        ),
    }
    if "cancellation_details" in params:
        old = subscription["cancellation_details"] or {}
        given = {name: value or None for name, value in params["cancellation_details"].items()}
        new |= whole({"cancellation_details": {**old, **given}})
    return new


def _restart(work: Work, subscription: Body, params: Body, *, old_interval: bool) -> Body:
    """What a new cycle, or a trial, changes of the subscription itself; nothing if the cycle goes
    on.
    """
    trialing = subscription["status"] == "trialing"
    anew = params.get("billing_cycle_anchor", {}).get("type") == "now"
    if anew and ("trial_end" in params or trialing):
        raise not_simulated("a new billing_cycle_anchor in a trial")
    if trial_end := end_of_trial(work, params):
        began = subscription["trial_start"] if trialing else work.now
        return {
            "billing_cycle_anchor": trial_end,
            "status": "trialing",
            "trial_end": trial_end,
            "trial_start": began,
        }
    if params.get("trial_end") == "now" and trialing:
        return {"billing_cycle_anchor": work.now, "status": "active", "trial_end": work.now}
    return {"billing_cycle_anchor": work.now} if anew or (old_interval and not trialing) else {}


def _ends_trial(subscription: Body, restart: Body) -> bool:
    return subscription["status"] == "trialing" and restart.get("status") == "active"


def _start_over(work: Work, subscription: Body, restart: Body) -> list[Body]:
    """Begin new periods of all items; returns what is billed for them at once."""
    items = items_of(work, subscription)
    view = {**subscription, **restart}
    if view["status"] != "trialing":
        begin_cycle(work, view, items)
        return period_lines(work, view, items)
    prolonged = subscription["status"] == "trialing"
    for item in items:
        start, _ = period_of(item)
        move(work, item, (start if prolonged else work.now, view["trial_end"]))
    return [] if prolonged else period_lines(work, view, items)


def _proration_date(work: Work, subscription: Body, params: Body) -> int | None:
    """The moment from which prorations count; None where nothing is prorated."""
    if params.get("proration_behavior") == "none" or subscription["status"] in _NOT_BILLED:
        return None
    at: int = params.get("proration_date", work.now)
    starts = (item["current_period_start"] for item in items_of(work, subscription))
    ends = (item["current_period_end"] for item in items_of(work, subscription))
    if not min(starts) <= at <= max(ends):
        text = "`proration_date` must be within the current period of the subscription."
        raise invalid(text, param="proration_date")
    return at


def _require_open_to(subscription: Body, params: Body) -> None:
    if subscription["status"] in ENDED and params.keys() - _EVEN_ENDED:
        raise refused(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    if subscription["status"] == "incomplete" and params.keys() - _EVEN_INCOMPLETE:
        raise refused(
            "This subscription is incomplete: until its first invoice is paid only its"
            " cancellation_details, default_payment_method and metadata can be updated."
        )
