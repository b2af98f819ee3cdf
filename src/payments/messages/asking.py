"""Asking: what Stripe alone knows of a message's cause, found out just before it is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from payments.core.errors import Problem
from payments.messages.sinks import Unreachable
from payments.stripe_api.hosted_invoices import open_invoice
from payments.stripe_api.service import StripeService
from payments.sync.outbox import Claimed
from payments.sync.process import own_fault


async def current(stripe: StripeService, message: Claimed) -> Claimed | None:
    """The message as it is true now; None when there is nothing to tell any more.

    Raises:
        Unreachable: Stripe is away; this costs the message no attempt.
        Problem: Stripe refuses to answer.
    """
    if (ask := ASKED.get(message.template)) is None:
        return message
    try:
        return await ask(stripe, message)
    except Problem as exc:
        if own_fault(exc):
            raise
        raise Unreachable(f"{type(exc).__name__}: {exc}") from exc


async def _renewal(stripe: StripeService, message: Claimed) -> Claimed | None:
    """An invoice may have been paid since; else its page is named, and what it waits for."""
    found = await open_invoice(stripe, str(message.facts["invoice"]))
    if found is None:
        return None
    facts = {**message.facts, "confirmable": found.confirmable}
    return replace(message, facts=facts, link=found.url)


async def _trial(stripe: StripeService, message: Claimed) -> Claimed | None:
    """A trial may have ended since, been prolonged, or its plan been canceled."""
    id = str(message.facts["subscription"])
    found = (await stripe.call(lambda c: c.v1.subscriptions.retrieve_async(id))).object
    told = datetime.fromisoformat(message.facts["ends_at"]).timestamp()
    still = found["status"] == "trialing" and found["trial_end"] == told
    goes_on = not found["cancel_at_period_end"] and (found["cancel_at"] or told + 1) > told
    return message if still and goes_on else None


ASKED: Final[Mapping[str, Callable[[StripeService, Claimed], Awaitable[Claimed | None]]]] = {
    "renewal_failed": _renewal,
    "trial_ending": _trial,
}
