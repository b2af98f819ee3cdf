"""Subscription items: what is subscribed to, how often, and the period that each is billed for."""

from stripe_sandbox.contract.errors import invalid, not_simulated
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.periods import Period
from stripe_sandbox.resources.catalog import new_price, require_active

TAKES = frozenset({"metadata", "price", "price_data", "quantity"})

_SHARED = "active billing_scheme created currency livemode metadata nickname product"


def new_item(work: Work, subscription: Body, params: Body, *, period: Period) -> Body:
    """An item out of checked parameters, see `priced`."""
    return work.create(
        "subscription_item",
        **given(params, "metadata"),
        **_of_price(params["price"]),
        **_of_period(period),
        quantity=params.get("quantity", 1),
        subscription=subscription["id"],
        tax_rates=[],
    )


def priced(work: Work, params: Body, *, at: str) -> Body:
    """The parameters of an item with its price as an object, if they name or describe one."""
    require_simulated(params, TAKES | {"id", "deleted"}, where=at or "subscription_items")
    param = f"{at}[{{}}]" if at else "{}"
    if "price" in params and "price_data" in params:
        text = "You may only specify one of these parameters: price, price_data."
        raise invalid(text, param=param.format("price"))
    if params.get("quantity", 0) < 0:
        text = "This value must be greater than or equal to 0."
        raise invalid(text, code="parameter_invalid_integer", param=param.format("quantity"))
    if "price_data" in params:
        data = {**params["price_data"], "active": False}
        price = new_price(work, data, at=param.format("price_data"))
    elif isinstance(params.get("price"), dict):
        price = params["price"]  # agreed on before, whether it is active still or not
    elif "price" in params:
        price = work.find("price", params["price"], param=param.format("price"))
        require_active(price, param=param.format("price"))
    else:
        return params
    _require_recurring(price, param.format("price"))
    return {**params, "price": price}


def item_changes(item: Body, params: Body) -> Body:
    """The new values of an item's fields."""
    new: Body = changes(item, params, "metadata quantity")
    if "price" in params:
        new |= _of_price(params["price"])
    return new


def move(work: Work, item: Body, period: Period) -> None:
    work.change(item, **_of_period(period))


def cut_short(work: Work, subscription: Body) -> None:
    """No period lasts longer than the subscription."""
    last = subscription["cancel_at"]
    for item in items_of(work, subscription):
        start, end = period_of(item)
        if last and last < end:
            move(work, item, (start, last))


def items_of(work: Work, subscription: Body) -> list[Body]:
    """In the order in which they were added."""
    return list(work.every("subscription_item", subscription=subscription["id"]))[::-1]


def shown(work: Work, subscription: Body) -> Body:
    """The items as the subscription shows them."""
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    data = [dict(item) for item in items_of(work, subscription)]
    return {"object": "list", "data": data, "has_more": False, "url": url}


def period_of(item: Body) -> Period:
    return item["current_period_start"], item["current_period_end"]


def require_one_currency(price: Body, currency: str, *, param: str) -> None:
    if price["currency"] != currency:
        text = (
            f"The price specified supports currencies of `{price['currency']}`, but the"
            f" subscription uses `{currency}`."
        )
        raise invalid(text, param=param)


def _of_price(price: Body) -> Body:
    return {"price": dict(price), "plan": _plan(price)}


def _of_period(period: Period) -> Body:
    start, end = period
    return {"current_period_start": start, "current_period_end": end, "billed_until": end}


def _plan(price: Body) -> Body:
    """A recurring price in its old words."""
    recurring = price["recurring"]
    fields: Body = {
        **{name: price[name] for name in _SHARED.split()},
        **{name: recurring[name] for name in ("interval", "interval_count", "usage_type")},
        "id": price["id"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
    }
    return filled(resource_class("plan"), fields)


def _require_recurring(price: Body, param: str) -> None:
    if not price["recurring"]:
        text = (
            "The price specified is set to `type=one_time` but this field only accepts prices with"
            " `type=recurring`."
        )
        raise invalid(text, param=param)
    if price["recurring"]["usage_type"] != "licensed":
        raise not_simulated("metered prices of subscriptions")
