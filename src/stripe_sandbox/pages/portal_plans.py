"""What the customer portal shows of plans and bills, and what its buttons do to a plan."""

from collections.abc import Callable, Iterator

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.ending import ENDED
from stripe_sandbox.pages.rendering import every
from stripe_sandbox.resources import subscriptions

Values = dict[str, str]


def plans_of(work: Work, customer: str, features: Body) -> list[Body]:
    """The customer's living subscriptions, each with the prices it may be moved to."""
    living = work.every("subscription", customer=customer)
    return [_plan(work, s, features) for s in living if s["status"] not in ENDED]


def bills_of(work: Work, customer: str) -> list[Body]:
    return [i for i in work.every("invoice", customer=customer) if i["status"] != "draft"]


def cancel(work: Work, customer: str, values: Values, feature: Body) -> None:
    subscription = _own(work, customer, values)
    if feature["mode"] == "at_period_end":
        _update(work, subscription, {"cancel_at_period_end": True})
        return
    prorate = feature["proration_behavior"] != "none"
    subscriptions.delete(work, {"prorate": prorate}, subscription_exposed_id=subscription["id"])


def keep(work: Work, customer: str, values: Values, _: Body) -> None:
    _update(work, _own(work, customer, values), {"cancel_at_period_end": False})


def switch(work: Work, customer: str, values: Values, feature: Body) -> None:
    """Move the only item of a subscription to another price that the settings offer."""
    subscription = _own(work, customer, values)
    chosen = values.get("price", "")
    if chosen not in {price["id"] for price in _offered(work, subscription, feature)}:
        raise invalid("The portal's settings do not offer this plan.")
    item = subscription["items"]["data"][0]["id"]
    behavior = feature["proration_behavior"]
    items = [{"id": item, "price": chosen}]
    _update(work, subscription, {"items": items, "proration_behavior": behavior})


ACTIONS: dict[str, tuple[str, Callable[[Work, str, Values, Body], None]]] = {
    "cancel": ("subscription_cancel", cancel),
    "keep": ("subscription_cancel", keep),
    "switch": ("subscription_update", switch),
}


def _plan(work: Work, subscription: Body, features: Body) -> Body:
    items = subscription["items"]["data"]
    update = features["subscription_update"]
    return {
        "id": subscription["id"],
        "status": subscription["status"],
        "items": [_described(work, item["price"], item.get("quantity", 1)) for item in items],
        "ends": subscription["cancel_at"],
        "renews": items[0]["current_period_end"],
        "others": [_described(work, price) for price in _offered(work, subscription, update)],
    }


def _described(work: Work, price: Body, quantity: int = 1) -> Body:
    product = work.get("product", price["product"]) or {}
    return {
        "id": price["id"],
        "name": product.get("name") or price["id"],
        "quantity": quantity,
        "amount": (price["unit_amount"] or 0) * quantity,
        "currency": price["currency"],
        "interval": every(price["recurring"]),
    }


def _offered(work: Work, subscription: Body, feature: Body) -> Iterator[Body]:
    items = subscription["items"]["data"]
    if not feature["enabled"] or len(items) != 1:
        return
    for product in feature["products"] or []:
        for id in product["prices"]:
            price = work.get("price", id)
            if price and price["active"] and id != items[0]["price"]["id"]:
                yield price


def _own(work: Work, customer: str, values: Values) -> Body:
    subscription = work.find("subscription", values.get("subscription", ""))
    if subscription["customer"] != customer:
        raise invalid("This is not a subscription of yours.")
    return subscription


def _update(work: Work, subscription: Body, params: Body) -> None:
    subscriptions.update(work, params, subscription_exposed_id=subscription["id"])
