"""Hosted invoices: the pages on which customers pay what is open, as Stripe names them now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stripe.params import InvoiceRetrieveParams

from payments.stripe_api.service import StripeService

EXPANDED: Final = (
    "payments.data.payment.payment_intent",
    "parent.subscription_details.subscription",
)


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """Where an invoice can be paid, if it has a page; `confirmable` if its payment waits for the
    customer's bank.
    """

    url: str | None
    confirmable: bool


async def open_invoice(stripe: StripeService, id: str) -> OpenInvoice | None:
    """An invoice that is still to be paid; None for any other, and for what is left open of a
    subscription that has ended. Each answer has an address of its own, and each address ends: it is
    to be used at once and not to be kept.

    Raises:
        Problem: Stripe did not answer, or knows no such invoice.
    """
    whole: InvoiceRetrieveParams = {"expand": list(EXPANDED)}
    invoice = (await stripe.call(lambda c: c.v1.invoices.retrieve_async(id, whole))).object
    if invoice["status"] != "open" or _over(invoice):
        return None
    waiting = any(intent.get("status") == "requires_action" for intent in _intents(invoice))
    return OpenInvoice(invoice.get("hosted_invoice_url"), waiting)


def _over(invoice: Mapping[str, Any]) -> bool:
    billed = (invoice.get("parent") or {}).get("subscription_details") or {}
    subscription = billed.get("subscription")
    return isinstance(subscription, dict) and subscription["status"] == "canceled"


def _intents(invoice: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that may still pay it."""
    for paying in (invoice.get("payments") or {}).get("data", ()):
        intent = paying["payment"].get("payment_intent")
        if paying["status"] == "open" and isinstance(intent, dict):
            yield intent
