"""What a request makes of a subscription's items, and what that gives back or costs."""

from collections.abc import Mapping

from stripe_sandbox.contract.errors import missing, no_such, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.periods import Period, period_around
from stripe_sandbox.flows.proration import Share, remaining, unused
from stripe_sandbox.flows.subscription_items import (
    item_changes,
    items_of,
    move,
    new_item,
    period_of,
    priced,
    require_one_currency,
)


def change_items(work: Work, subscription: Body, items: list[Body]) -> bool:
    """Add, change and delete items; returns whether one is billed at another interval now."""
    moved = False
    for i, params in enumerate(items):
        at = f"items[{i}]"
        wished = priced(work, params, at=at)
        if "price" in wished:
            require_one_currency(wished["price"], subscription["currency"], param=f"{at}[price]")
        if "id" in wished:
            moved |= _change(work, subscription, wished, at)
        elif "price" not in wished:
            name = f"{at}[price]"
            raise missing(name)
        else:
            period = _period_from_now(work, subscription, wished["price"]["recurring"])
            new_item(work, subscription, wished, period=period)
    if not items_of(work, subscription):
        raise refused("A subscription must have at least one active plan.", param="items")
    return moved


def shares_of(
    work: Work, subscription: Body, before: Mapping[str, Body], *, at: int | None
) -> list[Share]:
    """Credits for what is no more, then charges for what has come."""
    if at is None:
        return []
    after = {item["id"]: item for item in items_of(work, subscription)}
    gone = [old for id, old in before.items() if not _same(old, after.get(id))]
    come = [new for id, new in after.items() if not _same(new, before.get(id))]
    return [*unused(work, gone, at=at), *remaining(work, subscription, come, at=at)]


def adjust_ends(work: Work, subscription: Body, *, at: int | None) -> list[Share]:
    """Make the periods end with the subscription, or last as long as they should again."""
    shares: list[Share] = []
    anchor, last = subscription["billing_cycle_anchor"], subscription["cancel_at"]
    for item in items_of(work, subscription):
        start, end = period_of(item)
        _, ends = period_around(anchor, item["price"]["recurring"], start)
        if subscription["status"] == "trialing":
            ends = subscription["trial_end"]
        ends = min(ends, last or ends)
        if at is not None and ends < end:
            shares += unused(work, [item], at=ends)
        move(work, item, (start, ends))
        if at is not None and end < ends:
            shares += remaining(work, subscription, [item], at=end)
    return shares


def _change(work: Work, subscription: Body, params: Body, at: str) -> bool:
    item = work.find("subscription_item", params["id"], param=f"{at}[id]")
    if item["subscription"] != subscription["id"]:
        raise no_such("subscription_item", params["id"], param=f"{at}[id]")
    if params.get("deleted"):
        work.delete(item, leave_trace=False)
        return False
    before = _interval(item)
    work.change(item, **item_changes(item, params))
    return _interval(item) != before


def _period_from_now(work: Work, subscription: Body, recurring: Body) -> Period:
    _, ends = period_around(subscription["billing_cycle_anchor"], recurring, work.now)
    if subscription["status"] == "trialing":
        ends = subscription["trial_end"]
    return work.now, min(ends, subscription["cancel_at"] or ends)


def _interval(item: Body) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _same(item: Body, other: Body | None) -> bool:
    return other is not None and all(item[name] == other[name] for name in ("plan", "quantity"))
