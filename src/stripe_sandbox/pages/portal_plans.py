"""What a customer sees of subscriptions in the portal, and may do to them."""

from stripe_sandbox.contract.errors import invalid, no_such
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import display
from stripe_sandbox.resources import subscriptions

_ENDED = ("canceled", "incomplete_expired")


def plans(work: Work, customer: str, feature: Body) -> list[Body]:
    """The living subscriptions and, where the settings allow a switch, to which prices."""
    return [
        _plan(work, subscription, _offers(work, feature))
        for subscription in work.every("subscription", customer=customer)
        if subscription["status"] not in _ENDED
    ]


def bills(work: Work, customer: str) -> list[Body]:
    return [bill for bill in work.every("invoice", customer=customer) if bill["status"] != "draft"]


def cancel(work: Work, customer: str, values: dict[str, str], feature: Body) -> None:
    id = _own(work, customer, values)["id"]
    if feature["mode"] == "immediately":
        prorate = feature["proration_behavior"] != "none"
        subscriptions.delete(work, {"prorate": prorate}, subscription_exposed_id=id)
    else:
        subscriptions.update(work, {"cancel_at_period_end": True}, subscription_exposed_id=id)


def keep(work: Work, customer: str, values: dict[str, str], _: Body) -> None:
    """Take back what `cancel` at the period's end had in mind."""
    id = _own(work, customer, values)["id"]
    subscriptions.update(work, {"cancel_at_period_end": False}, subscription_exposed_id=id)


def switch(work: Work, customer: str, values: dict[str, str], feature: Body) -> None:
    subscription = _own(work, customer, values)
    price = values.get("price", "")
    if price not in [offer["id"] for offer in _offers(work, feature)]:
        raise invalid("The portal's settings do not offer this plan.", param="price")
    change = {"id": subscription["items"]["data"][0]["id"], "price": price}
    params = {"items": [change], "proration_behavior": feature["proration_behavior"]}
    subscriptions.update(work, params, subscription_exposed_id=subscription["id"])


def _own(work: Work, customer: str, values: dict[str, str]) -> Body:
    id = values.get("subscription", "")
    subscription = work.find("subscription", id)
    if subscription["customer"] != customer:
        raise no_such("subscription", id, param="subscription")
    return subscription


def _offers(work: Work, feature: Body) -> list[Body]:
    products = (feature["products"] or []) if feature["enabled"] else []
    prices = (work.get("price", id) for product in products for id in product["prices"])
    return [price for price in prices if price and price["active"]]


def _plan(work: Work, subscription: Body, offers: list[Body]) -> Body:
    items = subscription["items"]["data"]
    held = {item["price"]["id"] for item in items}
    return {
        "id": subscription["id"],
        "lines": [_line(work, item["price"], item.get("quantity") or 1) for item in items],
        "status": subscription["status"],
        "ends": subscription["cancel_at_period_end"],
        "until": items[0]["current_period_end"],
        "offers": [
            {"id": price["id"], "text": _line(work, price, 1)}
            for price in offers
            if len(items) == 1 and price["id"] not in held
        ],
    }


def _line(work: Work, price: Body, quantity: int) -> str:
    product = work.get("product", price["product"]) or {}
    name, many = (
        product.get("name") or price["id"],
        f" \N{MULTIPLICATION SIGN} {quantity}" if quantity > 1 else "",
    )
    amount = display((price["unit_amount"] or 0) * quantity, price["currency"])
    return f"{name}{many}, {amount} per {price['recurring']['interval']}"
