"""Subscriptions."""

from stripe_sandbox.contract.errors import no_such
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.listing import list_all
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import changing, discounts, following, pausing, previewing, renewing
from stripe_sandbox.flows.ending import ENDED, cancel, end
from stripe_sandbox.flows.subscribing import subscribe
from stripe_sandbox.flows.subscription_terms import whole


def _has_status(subscription: Body, wanted: object) -> bool:
    status = subscription["status"]
    chosen = {"all": True, "ended": status in ENDED, "": status != "canceled"}
    return bool(chosen.get(str(wanted), status == wanted))


def _with_status(wanted: object) -> tuple[str, tuple[object, ...]] | None:
    return None if wanted in ("all", "") else ("status", ENDED if wanted == "ended" else (wanted,))


def _taxes_automatically(subscription: Body, wanted: object) -> bool:
    enabled = subscription["automatic_tax"]["enabled"]
    return isinstance(wanted, dict) and wanted.get("enabled") is enabled


def _has_price(subscription: Body, wanted: object) -> bool:
    return any(item["price"]["id"] == wanted for item in subscription["items"]["data"])


subscriptions = Resource(
    "subscription",
    id_prefix="sub",
    search="canceled_at created metadata status",
    filters={
        "automatic_tax": _taxes_automatically,
        "price": _has_price,
        "status": _has_status,
    },
    narrow={"status": _with_status},
)

_PATH = "/v1/subscriptions/{subscription_exposed_id}"
_SETTINGS = (
    "add_invoice_items automatic_tax cancel_at cancel_at_period_end collection_method"
    " days_until_due default_payment_method description discounts"
    " invoice_settings items metadata off_session payment_behavior payment_settings"
    " proration_behavior trial_end trial_settings"
)
_CHANGE = f"{_SETTINGS} billing_cycle_anchor cancellation_details pause_collection proration_date"
_RESUME = "billing_cycle_anchor payment_behavior proration_behavior proration_date"


@subscriptions.on(
    "post",
    "/v1/subscriptions",
    takes=f"{_SETTINGS} billing_cycle_anchor billing_mode currency customer trial_period_days",
)
def create(work: Work, params: Body) -> Body:
    return subscribe(work, work.named("customer", params), params)


@subscriptions.on("get", "/v1/subscriptions", takes=None)
def list_(work: Work, params: Body) -> Body:
    return list_all(work, subscriptions, {"status": "", **params}, url="/v1/subscriptions")


@subscriptions.acts(_PATH, verb="delete", takes="cancellation_details invoice_now prorate")
def delete(work: Work, subscription: Body, params: Body) -> None:
    if subscription["status"] in ENDED:
        raise no_such(subscriptions.label, subscription["id"], param="id")
    details = {"cancellation_details": params.get("cancellation_details", {})}
    work.change(subscription, **whole(details))
    chosen = {name: params.get(name, False) for name in ("prorate", "invoice_now")}
    cancel(work, subscription, **chosen)


@subscriptions.on("delete", f"{_PATH}/discount")
def delete_discount(work: Work, subscription_exposed_id: str) -> Body:
    """Take all discounts away; answers with the last."""
    subscription = work.find("subscription", subscription_exposed_id)
    held = [work.find("discount", id) for id in subscription["discounts"]]
    if not held:
        raise no_such("discount", subscription_exposed_id, param="id")
    for discount in held:
        discounts.end(work, discount)
    return {"id": held[-1]["id"], "object": "discount", "deleted": True}


subscriptions.acts(_PATH, takes=_CHANGE)(changing.update)
subscriptions.acts(
    "/v1/subscriptions/{subscription}/pause", takes="bill_for invoicing_behavior type"
)(pausing.pause_by_request)
subscriptions.acts("/v1/subscriptions/{subscription}/resume", takes=_RESUME)(pausing.resume)
subscriptions.job(renewing.MOVE_ON)(renewing.move_on)
subscriptions.job(renewing.UPCOMING)(previewing.announce_upcoming)


@subscriptions.follows("customer.deleted")
def follow_customer(work: Work, customer: Body) -> None:
    for subscription in list(work.every("subscription", customer=customer["id"])):
        if subscription["status"] not in ENDED:
            end(work, subscription, reason="cancellation_requested")


subscriptions.follows("invoice.paid")(following.follow_payment)
subscriptions.follows("payment_intent.processing")(following.follow_processing)
subscriptions.follows("invoice.payment_failed")(following.follow_failure)
subscriptions.follows("invoice.overdue")(following.follow_delay)
subscriptions.follows("invoice.voided")(following.follow_void)
subscriptions.follows("invoice.marked_uncollectible")(following.follow_write_off)
subscriptions.follows("setup_intent.succeeded")(following.follow_set_up)
