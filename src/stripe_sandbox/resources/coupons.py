"""Coupons, and the discounts that they become when they are redeemed."""

import re
import secrets
from string import ascii_letters, digits

from stripe_sandbox.contract.errors import invalid, missing, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.plain import updates
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.discounts import END, end
from stripe_sandbox.flows.money import known_currency

coupons = Resource("coupon", id_prefix="", param="coupon")
discounts = Resource("discount", id_prefix="di", param="discount")

_FIELDS = (
    "amount_off duration duration_in_months max_redemptions metadata name percent_off redeem_by"
)
_WHOLE = 100
_ID = re.compile(r"[\w-]{1,200}")
_MOST_MONTHS = 1200
_EXPIRE = "coupon.expire"


@coupons.on("post", "/v1/coupons", takes=f"{_FIELDS} currency id")
def create(work: Work, params: Body) -> Body:
    _require_sound(params)
    id = params.get("id") or "".join(secrets.choice(ascii_letters + digits) for _ in range(8))
    if work.get("coupon", id):
        raise refused("Coupon already exists.", code="resource_already_exists", param="id")
    currency = known_currency(params["currency"]) if "amount_off" in params else None
    fields = {"duration": "once", **given(params, _FIELDS), "currency": currency}
    coupon = work.create("coupon", id=id, **fields, valid=True)
    if coupon["redeem_by"]:
        work.schedule(_EXPIRE, coupon, at=coupon["redeem_by"])
    work.emit("coupon.created", coupon)
    return coupon


updates(coupons, "/v1/coupons/{coupon}", "metadata name")


@coupons.on("delete", "/v1/coupons/{coupon}")
def delete(work: Work, coupon: str) -> Body:
    """Who has redeemed it keeps the discount, which still shows it."""
    body = work.find("coupon", coupon)
    work.change(body, valid=False)
    work.remember(coupon, redeemed_as=dict(body))
    work.unschedule(_EXPIRE, body)
    work.emit("coupon.deleted", body)
    return work.delete(body, leave_trace=False)


@coupons.job(_EXPIRE)
def expire(work: Work, coupon: Body) -> None:
    work.announce("coupon.updated", coupon, valid=False)


discounts.job(END)(end)


@discounts.on("delete", "/v1/customers/{customer}/discount")
def delete_of_customer(work: Work, customer: str) -> Body:
    held = work.find("customer", customer)["discount"]
    if held is None:
        raise refused("No active discount for customer.", code="resource_missing")
    discount = work.find("discount", held["id"])
    end(work, discount)
    return {**discount, "deleted": True}


def _require_sound(params: Body) -> None:
    if ("percent_off" in params) == ("amount_off" in params):
        text = "You must pass either percent_off or amount_off when creating a coupon."
        raise invalid(text, code="parameter_missing", param="percent_off")
    if not 0 < params.get("percent_off", _WHOLE) <= _WHOLE:
        raise invalid("Invalid percent_off: must be over 0 and up to 100.", param="percent_off")
    if params.get("amount_off", 1) < 1:
        text = "This value must be greater than or equal to 1."
        raise invalid(text, code="parameter_invalid_integer", param="amount_off")
    if "amount_off" in params and "currency" not in params:
        raise missing("currency")
    if (params.get("duration") == "repeating") != ("duration_in_months" in params):
        text = "You must pass duration_in_months when, and only when, duration is repeating."
        raise invalid(text, param="duration_in_months")
    if not _ID.fullmatch(params.get("id", "x")):
        raise invalid("A coupon's id has letters, digits, - and _ only.", param="id")
    if not 0 < params.get("duration_in_months", 1) <= _MOST_MONTHS:
        text = f"duration_in_months must be from 1 to {_MOST_MONTHS}."
        raise invalid(text, param="duration_in_months")
