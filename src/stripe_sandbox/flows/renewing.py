"""What time does to a subscription: renewals, the ends of trials, expiry, cancellations ahead."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoicing
from stripe_sandbox.flows.ending import ENDED, end
from stripe_sandbox.flows.periods import period_around
from stripe_sandbox.flows.subscription_billing import bill, default_method, pending_of, period_lines
from stripe_sandbox.flows.subscription_items import items_of, move, period_of, shown

MOVE_ON, UPCOMING = "subscription.move_on", "subscription.announce_upcoming"

PAYABLE_FOR = 23 * 3600

_DAY = 24 * 3600
_TRIAL_WARNING = 3 * _DAY
_UPCOMING_BEFORE = 7 * _DAY

Act = Callable[[Work, Body], None]


def keep_time(work: Work, subscription: Body) -> None:
    """Schedule what time does to a subscription next; after anything has changed."""
    moments = [at for at, _ in _moments(work, subscription)]
    if moments:
        work.schedule(MOVE_ON, subscription, at=min(moments))
    else:
        work.unschedule(MOVE_ON, subscription)
    upcoming = _upcoming(work, subscription)
    if upcoming > work.now:
        work.schedule(UPCOMING, subscription, at=upcoming)
    else:
        work.unschedule(UPCOMING, subscription)


def move_on(work: Work, subscription: Body) -> None:
    """Do the first of what is due; the rest follows at once."""
    due = [moment for moment in _moments(work, subscription) if moment[0] <= work.now]
    if due:
        _, act = min(due, key=lambda moment: moment[0])
        act(work, subscription)
    keep_time(work, subscription)


def announce(work: Work, subscription: Body, **changes: Any) -> None:
    work.announce("customer.subscription.updated", subscription, **changes)
    keep_time(work, subscription)


def warn_of_trial_end(work: Work, subscription: Body) -> None:
    work.remember(subscription["id"], warned=subscription["trial_end"])
    work.emit("customer.subscription.trial_will_end", subscription)


def trial_ends_soon(work: Work, subscription: Body) -> bool:
    ends = subscription["trial_end"] if subscription["status"] == "trialing" else None
    return ends is not None and int(ends) - _TRIAL_WARNING <= work.now


def begin_periods(
    work: Work, subscription: Body, items: Iterable[Body], *, anchor: int, at: int
) -> None:
    """Begin the period of these items; the end of the subscription may cut it short."""
    for item in items:
        _, ends = period_around(anchor, item["price"]["recurring"], at)
        move(work, item, (at, min(ends, subscription["cancel_at"] or ends)))


def begin_cycle(work: Work, subscription: Body, items: Iterable[Body]) -> None:
    """Begin a new cycle now; an end that is planned for that of the period moves with it."""
    last = None if subscription["cancel_at_period_end"] else subscription["cancel_at"]
    begin_periods(work, {**subscription, "cancel_at": last}, items, anchor=work.now, at=work.now)


def next_end(work: Work, subscription: Body) -> int:
    return int(min(item["current_period_end"] for item in items_of(work, subscription)))


def renew(work: Work, subscription: Body) -> Body | None:
    """Begin the next period of each item whose period is over, and draft its invoice.

    The end of a trial without a payment method may end, or pause, the subscription instead.
    """
    trial = subscription["status"] == "trialing"
    if trial and end_trial_without_method(work, subscription):
        return None
    at = next_end(work, subscription)
    items = [item for item in items_of(work, subscription) if item["current_period_end"] == at]
    start, _ = period_of(items[0])
    begin_periods(work, subscription, items, anchor=subscription["billing_cycle_anchor"], at=at)
    status = "active" if trial else subscription["status"]
    invoice = bill(
        work,
        subscription,
        reason="subscription_cycle",
        lines=period_lines(work, {**subscription, "status": status}, items),
        auto_advance=status != "unpaid" and not subscription["pause_collection"],
        period_start=start,
        period_end=at,
    )
    announce(
        work,
        subscription,
        items=shown(work, subscription),
        latest_invoice=invoice["id"],
        status=status,
    )
    return invoice


def pause(work: Work, subscription: Body, *, why: str, **changes: Any) -> None:
    paused = {"subscription": {"type": why}, "transitioned_at": work.now, "type": "subscription"}
    announce(work, subscription, **changes, status="paused", status_details={"paused": paused})
    work.emit("customer.subscription.paused", subscription)


def end_trial_without_method(work: Work, subscription: Body, **changes: Any) -> bool:
    """Whether the end of the trial ends, or pauses, a subscription that nobody can pay."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    charges = subscription["collection_method"] == "charge_automatically"
    if behavior == "create_invoice" or not charges or default_method(work, subscription):
        return False
    if behavior == "pause":
        pause(work, subscription, why="trial_end_without_payment_method", **changes)
    else:
        work.change(subscription, **changes)
        end(work, subscription, reason="payment_failed")
    return True


def _moments(work: Work, subscription: Body) -> Iterator[tuple[int, Act]]:
    """What is to happen and when; of what is due at one time the first goes first."""
    status, note = subscription["status"], work.note(subscription["id"])
    if status == "incomplete":
        yield subscription["created"] + PAYABLE_FOR, _give_up
    if status in (*ENDED, "incomplete"):
        return
    if subscription["cancel_at"]:
        yield subscription["cancel_at"], _end_as_planned
    if status == "paused":
        if resuming := note.get("resuming"):
            yield resuming["until"], _give_up
        return
    pausing = subscription["pause_collection"]
    if pausing and pausing["resumes_at"]:
        yield pausing["resumes_at"], _collect_again
    if status == "trialing" and note.get("warned") != subscription["trial_end"]:
        yield subscription["trial_end"] - _TRIAL_WARNING, warn_of_trial_end
    yield next_end(work, subscription), _renew


def _upcoming(work: Work, subscription: Body) -> int:
    """When the next renewal is announced; 0 where there is none."""
    renews = subscription["status"] in ("active", "past_due", "trialing")
    ends = next_end(work, subscription) if renews else 0
    lasts = subscription["cancel_at"] is None or subscription["cancel_at"] > ends
    return ends - _UPCOMING_BEFORE if renews and lasts else 0


def _renew(work: Work, subscription: Body) -> None:
    invoice = renew(work, subscription)
    pausing = subscription["pause_collection"]
    if invoice is None or not pausing or pausing["behavior"] == "keep_as_draft":
        return
    invoicing.finalize(work, invoice)
    if invoice["status"] == "open":
        close = {"void": invoicing.void, "mark_uncollectible": invoicing.mark_uncollectible}
        close[pausing["behavior"]](work, invoice)


def _give_up(work: Work, subscription: Body) -> None:
    """What was to be paid first has not been paid in time."""
    invoice = work.find("invoice", subscription["latest_invoice"])
    invoicing.void(work, invoice)


def _end_as_planned(work: Work, subscription: Body) -> None:
    """What is still pending is billed, an hour later as ever."""
    end(work, subscription, reason="cancellation_requested")
    if pending_of(work, subscription):
        invoice = bill(work, subscription, reason="subscription_cycle")
        work.change(subscription, latest_invoice=invoice["id"])


def _collect_again(work: Work, subscription: Body) -> None:
    announce(work, subscription, pause_collection=None)
