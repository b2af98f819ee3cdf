"""An offer as Stripe's parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from payments.core.errors import Invalid
from payments.domains.checkout.schemas import LineItem
from payments.domains.payables import APP, Offer, Recurring
from payments.settings import Settings


def session_params(
    reference: str,
    offer: Offer,
    customer: str,
    *,
    items: Sequence[LineItem] | None,
    urls: tuple[str, str],
    settings: Settings,
    promotion_code: str | None = None,
) -> dict[str, Any]:
    """Parameters of a Checkout session; payment methods are the dashboard's choice. A tax is within
    the price: what the server says is due is what is paid. `promotion_code` is Stripe's `promo_…`.
    """
    success, cancel = urls
    params: dict[str, Any] = {
        "customer": customer,
        "client_reference_id": reference,
        "success_url": success,
        "cancel_url": cancel,
        "metadata": _metadata(reference, offer),
    }
    if offer.expires_at is not None:
        params["expires_at"] = int(offer.expires_at.timestamp())
    if offer.recurring is not None:
        params |= _paid_each_period(offer.recurring, params["metadata"])
    else:
        params |= _paid_once(reference, offer, items, taxed=settings.automatic_tax)
    if promotion_code is not None:
        # Stripe takes either a code that is set or a field for one.
        params["discounts"] = [{"promotion_code": promotion_code}]
    elif settings.promotion_codes and offer.discountable:
        params["allow_promotion_codes"] = True
    return params | _tax(settings)


def _paid_once(
    reference: str, offer: Offer, items: Sequence[LineItem] | None, *, taxed: bool
) -> dict[str, Any]:
    return {
        "mode": "payment",
        "line_items": _lines(offer, items, taxed=taxed),
        "payment_intent_data": _shown_to_customer(reference, offer),
    }


def _lines(offer: Offer, items: Sequence[LineItem] | None, *, taxed: bool) -> list[dict[str, Any]]:
    lines = [(i.name, i.amount_cents, i.quantity) for i in items or ()] or [
        (offer.description, offer.money.amount, 1)
    ]
    priced = {"currency": offer.money.currency} | ({"tax_behavior": "inclusive"} if taxed else {})
    return [
        {
            "price_data": {**priced, "unit_amount": amount, "product_data": {"name": name}},
            "quantity": quantity,
        }
        for name, amount, quantity in lines
    ]


def _paid_each_period(plan: Recurring, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Nothing of a session's metadata is copied by Stripe to its subscription."""
    data: dict[str, Any] = {"metadata": metadata}
    if plan.trial_days:
        data["trial_period_days"] = plan.trial_days
    return {
        "mode": "subscription",
        "line_items": [{"price": plan.price, "quantity": plan.quantity}],
        "subscription_data": data,
    }


def _tax(settings: Settings) -> dict[str, Any]:
    if not settings.automatic_tax:
        return {}
    # The tax is where the customer is, and the page keeps the address that it asks for.
    return {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}


def intent_params(reference: str, offer: Offer, customer: str) -> dict[str, Any]:
    """Parameters of a PaymentIntent for Elements.

    Raises:
        Invalid: it is a plan, which is begun in another way.
    """
    if offer.recurring is not None:
        raise Invalid("a plan is subscribed to by /create-subscription or a Checkout session")
    return {
        "amount": offer.money.amount,
        "currency": offer.money.currency,
        "customer": customer,
        "automatic_payment_methods": {"enabled": True},
        "metadata": _metadata(reference, offer),
        **_shown_to_customer(reference, offer),
    }


def _metadata(reference: str, offer: Offer) -> dict[str, str]:
    return {**offer.metadata, "app": APP, "reference": reference, "payment_type": offer.purpose}


def _shown_to_customer(reference: str, offer: Offer) -> dict[str, Any]:
    """What makes a charge recognisable on a bank statement, in a receipt and in the dashboard."""
    shown: dict[str, Any] = {
        "description": f"{offer.description} ({reference})",
        "statement_descriptor_suffix": _suffix(reference),
    }
    if offer.email:
        shown["receipt_email"] = offer.email
    return shown


def _suffix(reference: str) -> str:
    """At most 10 of the 22 characters that a statement has; Stripe wants one letter at least."""
    kept = [c for c in reference.partition(":")[2].upper() if c.isascii() and c.isalnum()]
    return ("P" + "".join(kept[-9:]))[:10]
