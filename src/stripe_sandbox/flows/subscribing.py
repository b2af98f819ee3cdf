"""A subscription from its terms to its first invoice."""

from stripe_sandbox.contract.errors import invalid, missing, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments, invoicing
from stripe_sandbox.flows.discounts import in_force
from stripe_sandbox.flows.periods import boundary, period_around
from stripe_sandbox.flows.reckoning import terms
from stripe_sandbox.flows.renewing import keep_time, trial_ends_soon, warn_of_trial_end
from stripe_sandbox.flows.setting_up import new_setup_intent
from stripe_sandbox.flows.subscription_billing import (
    bill,
    collect,
    pend_extras,
    period_lines,
)
from stripe_sandbox.flows.subscription_items import (
    cut_short,
    items_of,
    new_item,
    priced,
    require_one_currency,
    shown,
)
from stripe_sandbox.flows.subscription_terms import (
    default_settings,
    end_of_trial,
    planned_end,
    require_sound,
)

_OWN = "collection_method days_until_due default_payment_method description metadata"


def subscribe(work: Work, customer: Body, params: Body, *, paid_by: Body | None = None) -> Body:
    """A new subscription out of the parameters of `POST /v1/subscriptions`, and its first invoice,
    which an intent may have paid already.

    Raises:
        StripeError: a parameter is wrong, or the first invoice is not paid and the
            `payment_behavior` is `error_if_incomplete`.
    """
    require_sound(work, customer, params, collection=_collection(params))
    if not params.get("items"):
        raise missing("items")
    items = [priced(work, item, at=f"items[{i}]") for i, item in enumerate(params["items"])]
    for i, item in enumerate(items):
        if "price" not in item:
            name = f"items[{i}][price]"
            raise missing(name)
    subscription = _new(work, customer, params, items)
    anchor = subscription["billing_cycle_anchor"]
    for item in items:
        _, ends = period_around(anchor, item["price"]["recurring"], work.now)
        period = (work.now, subscription["trial_end"] or ends)
        new_item(work, subscription, item, period=period)
    work.change(subscription, **planned_end(work, subscription, params))
    cut_short(work, subscription)
    work.change(subscription, items=shown(work, subscription))
    if params.get("payment_behavior") == "default_incomplete" and subscription["trial_end"]:
        _ask_for_method(work, subscription)
    work.emit("customer.subscription.created", subscription)
    for discount in in_force(work, subscription):
        work.emit("customer.discount.created", discount)
    if trial_ends_soon(work, subscription):
        warn_of_trial_end(work, subscription)
    _bill_first(work, subscription, params, paid_by)
    keep_time(work, subscription)
    return subscription


def _new(work: Work, customer: Body, params: Body, items: list[Body]) -> Body:
    trial_end = end_of_trial(work, params)
    anchor = _anchor(work, params, trial_end, items)
    currency = params.get("currency") or items[0]["price"]["currency"]
    for i, item in enumerate(items):
        require_one_currency(item["price"], currency, param=f"items[{i}][price]")
    sends = _collection(params) == "send_invoice"
    nothing_yet = _nothing_yet(params, anchor, trial_end, work.now)
    id = work.new_id("subscription")
    owner = {"object": "subscription", "customer": customer["id"]}
    return work.create(
        "subscription",
        id=id,
        **default_settings(params),
        **given(params, _OWN),
        **terms(work, params, owner, subscription=id, currency=currency),
        billing_cycle_anchor=anchor,
        billing_mode={"type": "flexible", "flexible": {"proration_discounts": "included"}},
        currency=currency,
        customer=customer["id"],
        latest_invoice=None if nothing_yet else work.new_id("invoice"),
        start_date=work.now,
        status="trialing" if trial_end else "active" if sends or nothing_yet else "incomplete",
        test_clock=customer["test_clock"],
        trial_end=trial_end,
        trial_start=work.now if trial_end else None,
    )


def _bill_first(work: Work, subscription: Body, params: Body, paid_by: Body | None) -> None:
    if subscription["latest_invoice"] is None:
        return
    pend_extras(work, subscription, params.get("add_invoice_items", []))
    prorate = params.get("proration_behavior") != "none"
    items = items_of(work, subscription)
    invoice = bill(
        work,
        subscription,
        reason="subscription_create",
        lines=period_lines(work, subscription, items, prorate=prorate),
        id=subscription["latest_invoice"],
    )
    if paid_by:
        invoicing.finalize(work, invoice, intent=paid_by)
        if paid_by["status"] == "succeeded":
            invoice_payments.follow_success(work, paid_by)
        return
    behavior = params.get("payment_behavior", "allow_incomplete")
    off_session = params.get("off_session", False)
    collect(work, subscription, invoice, behavior=behavior, off_session=off_session)
    asked = subscription["pending_setup_intent"] is not None
    if behavior == "default_incomplete" and invoice["status"] == "paid" and not asked:
        _ask_for_method(work, subscription)


def _ask_for_method(work: Work, subscription: Body) -> None:
    """Nothing is due yet, so the client may set up how it will be paid."""
    intent = new_setup_intent(work, customer=subscription["customer"])
    work.change(subscription, pending_setup_intent=intent["id"])


def _nothing_yet(params: Body, anchor: int, trial_end: int | None, now: int) -> bool:
    """The time until the first whole period may cost nothing."""
    free = params.get("proration_behavior") == "none" and not params.get("add_invoice_items")
    return trial_end is None and anchor > now and free


def _anchor(work: Work, params: Body, trial_end: int | None, items: list[Body]) -> int:
    if "billing_cycle_anchor" not in params:
        return trial_end or work.now
    if trial_end:
        raise not_simulated("a billing_cycle_anchor beside a trial")
    anchor = int(params["billing_cycle_anchor"])
    if anchor <= work.now:
        raise invalid("`billing_cycle_anchor` must be in the future.", param="billing_cycle_anchor")
    if any(anchor > boundary(work.now, item["price"]["recurring"], 1) for item in items):
        raise invalid(
            "billing_cycle_anchor cannot be later than next natural billing date",
            param="billing_cycle_anchor",
        )
    return anchor


def _collection(params: Body) -> str:
    return str(params.get("collection_method", "charge_automatically"))
