"""The items of subscriptions, one by one: each change is one of its subscription."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.changing import update as update_subscription
from stripe_sandbox.flows.subscription_items import items_of

subscription_items = Resource("subscription_item", id_prefix="si", param="item")

_ITEM = "metadata price price_data quantity"
_CHANGE = "payment_behavior proration_behavior proration_date"


@subscription_items.on("post", "/v1/subscription_items", takes=f"{_ITEM} {_CHANGE} subscription")
def create(work: Work, params: Body) -> Body:
    subscription = work.find("subscription", params["subscription"], param="subscription")
    _change(work, subscription, params)
    return items_of(work, subscription)[-1]


@subscription_items.on(
    "post", "/v1/subscription_items/{item}", takes=f"{_ITEM} {_CHANGE} off_session"
)
def update(work: Work, params: Body, item: str) -> Body:
    body = work.find("subscription_item", item)
    _change(work, work.find("subscription", body["subscription"]), params, id=item)
    return body


@subscription_items.on("delete", "/v1/subscription_items/{item}", takes=_CHANGE)
def delete(work: Work, params: Body, item: str) -> Body:
    body = work.find("subscription_item", item)
    subscription = work.find("subscription", body["subscription"])
    _change(work, subscription, params, id=item, deleted=True)
    return {"id": item, "object": "subscription_item", "deleted": True}


def _change(work: Work, subscription: Body, params: Body, **which: str | bool) -> None:
    own = {name: params[name] for name in _ITEM.split() if name in params}
    how = {name: value for name, value in params.items() if name not in {*own, "subscription"}}
    update_subscription(work, subscription, {**how, "items": [{**own, **which}]})
