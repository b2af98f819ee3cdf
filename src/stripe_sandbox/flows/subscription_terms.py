"""The terms of a subscription, as a request puts them: trials, planned ends, settings."""

from stripe_sandbox.contract.errors import invalid, not_simulated
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.subscription_items import items_of

LEAVE_DRAFT = "leave_draft"  # the `payment_behavior` of a preview

_DAY = 24 * 3600
_LONGEST_TRIAL = 730
_NESTED = {
    "billing_mode": "type flexible",
    "invoice_settings": "custom_fields description footer",
    "payment_settings": "payment_method_types save_default_payment_method",
}
_DEFAULTS: Body = {
    "invoice_settings": {"issuer": {"type": "self"}},
    "payment_settings": {"save_default_payment_method": "off"},
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}


def require_sound(work: Work, customer: Body, params: Body, *, collection: str) -> None:
    """Hold the parameters of a new subscription, or of a change, against each other."""
    for name, takes in _NESTED.items():
        if params.get(name):
            require_simulated(params[name], takes, where=name)
    if params.get("payment_behavior") == "pending_if_incomplete":
        raise not_simulated("the payment_behavior pending_if_incomplete")
    if params.get("billing_mode", {}).get("type") == "classic":
        raise not_simulated("subscriptions in the classic billing mode")
    if collection != "send_invoice" and "days_until_due" in params:
        raise invalid(
            "`days_until_due` can only be set if `collection_method` is `send_invoice`.",
            param="days_until_due",
        )
    if method := params.get("default_payment_method"):
        _require_attached(work, customer, method)


def end_of_trial(work: Work, params: Body) -> int | None:
    """When a trial that begins now is over; None without one."""
    days, end = params.get("trial_period_days"), params.get("trial_end")
    if days is not None and end is not None:
        text = "You may only specify one of these parameters: trial_end, trial_period_days."
        raise invalid(text, param="trial_period_days")
    if days is not None:
        if not 1 <= days <= _LONGEST_TRIAL:
            text = f"Trial periods are between 1 and {_LONGEST_TRIAL} days."
            raise invalid(text, param="trial_period_days")
        return work.now + int(days) * _DAY
    if end is None or end == "now":
        return None
    if end <= work.now:
        raise invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end"
        )
    return int(end)


def planned_end(work: Work, subscription: Body, params: Body) -> Body:
    """What `cancel_at` and `cancel_at_period_end` change, or the end of a period that moves."""
    at, at_period_end = params.get("cancel_at"), params.get("cancel_at_period_end")
    if at and at_period_end:
        text = "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        raise invalid(text, param="cancel_at")
    follows = at is None and at_period_end is None
    if follows and not subscription["cancel_at_period_end"]:
        return {}
    at_period_end = at_period_end or follows
    ends = [item["current_period_end"] for item in items_of(work, subscription)]
    named = {
        "min_period_end": min(ends),
        "max_period_end": max(ends),
        "max_billed_until": max(ends),
    }
    moment = max(ends) if at_period_end else named.get(str(at), at) or None
    if follows and moment == subscription["cancel_at"]:
        return {}
    if moment is not None and moment <= work.now:
        raise invalid("`cancel_at` must be in the future.", param="cancel_at")
    reason = "cancellation_requested" if moment else None
    return whole(
        {
            "cancel_at": moment,
            "cancel_at_period_end": bool(at_period_end),
            "canceled_at": (subscription["canceled_at"] or work.now) if moment else None,
            "cancellation_details": {
                **(subscription["cancellation_details"] or {}),
                **params.get("cancellation_details", {}),
                "reason": reason,
            },
        }
    )


def settings(old: Body, params: Body) -> Body:
    """The new values of what is set by hashes, each key by itself."""
    mentioned = [name for name in _DEFAULTS if name in params]
    return whole({name: {**(old.get(name) or {}), **params[name]} for name in mentioned})


def default_settings(params: Body) -> Body:
    return {**whole(_DEFAULTS), **settings(_DEFAULTS, params)}


def whole(fields: Body) -> Body:
    """The fields of a subscription with every hash in them completed."""
    completed = filled(resource_class("subscription"), fields)
    return {name: completed[name] for name in fields}


def _require_attached(work: Work, customer: Body, id: str) -> None:
    method = work.find("payment_method", id, param="default_payment_method")
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {id}. The payment method"
            " must be attached to the customer.",
            param="default_payment_method",
        )
