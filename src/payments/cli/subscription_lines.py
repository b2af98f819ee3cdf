"""Subscriptions in words, for a question and its answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from payments.cli.words import moment, printable

if TYPE_CHECKING:
    from payments.domains.subscriptions.holders import Holder
    from payments.domains.subscriptions.overdue import Overdue
    from payments.domains.subscriptions.schemas import PlanOut, PlanPreview, SubscriptionOut


def described(holder: "Holder", seen: "SubscriptionOut") -> str:
    """A subscription on a line: whose it is, of what, what it costs and until when it is paid."""
    user = f"user {seen.user_id}" if seen.user_id else "a user who is not known"
    whose = " ".join(filter(None, (holder.name, f"<{holder.email}>")))
    said = f"{seen.id} of {whose} ({user}, {holder.customer}): {plans(seen.plans)}, {state(seen)}"
    return printable(said)


def plans(found: "Sequence[PlanOut]") -> str:
    """What is subscribed to, and what it costs a period."""
    return printable(" + ".join(map(_plan, found)))


def _plan(plan: "PlanOut") -> str:
    many = f"{plan.quantity} x " if (plan.quantity or 1) > 1 else ""
    one = plan.interval_count == 1
    period = plan.interval if one else f"{plan.interval_count} {plan.interval}s"
    price = f", {plan.amount} each {period}" if plan.amount else ""
    return f"{many}{plan.name or plan.price}{price}"


def state(seen: "SubscriptionOut") -> str:
    ends = "ends" if seen.cancel_at_period_end else "until"
    return f"{seen.status}, {ends} {until(seen)}"


def until(seen: "SubscriptionOut") -> str:
    return moment(seen.current_period_end)


def cost(shown: "PlanPreview") -> str:
    """What a change of plan costs at once."""
    if shown.amount_cents < 0:
        return f"{shown.amount.removeprefix('-')} is credited to the next invoices."
    if shown.amount_due_cents == 0:
        return f"Nothing is charged now; the difference is {shown.amount}."
    due = "" if shown.amount_due_cents == shown.amount_cents else ", less what is credited already"
    return f"{shown.amount} is charged at once{due}."


def claim(found: "Overdue") -> list[str]:
    """Whom a payment is asked of once more."""
    from payments.core import money

    invoice = found.invoice
    amount = money.display(invoice["amount_remaining"], invoice["currency"])
    email = invoice["customer_email"]
    named = filter(None, (invoice["customer_name"], f"<{email}>" if email else None))
    whose = " ".join(named) or invoice["customer"]
    return [
        printable(f"Collect {amount} by {invoice['id']} of {whose}, for {found.subscription}"),
        "The card that the customer has now is charged at once.",
    ]


def outcome(seen: "SubscriptionOut") -> str:
    """How it stands after what was done."""
    access = "" if seen.entitled else ", gives nothing"
    now = f"ended {moment(seen.ended_at)}" if seen.ended_at else state(seen)
    return printable(f"done  {seen.id}: {plans(seen.plans)}, {now}{access}")
