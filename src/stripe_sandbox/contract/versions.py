"""Versions of the API: which one holds, and what older ones called otherwise."""

import re
from collections.abc import Callable
from typing import Any

import stripe

# What a request, or an endpoint, without a version has: the last one that knew all the old words.
ACCOUNT_DEFAULT = "2025-08-27.basil"


def _discounts(way: str, id: str) -> dict[str, Any]:
    return {"discounts": {"0": {way: id}} if id else ""}


def _anchor(anchor: Any) -> dict[str, Any]:
    return {"billing_cycle_anchor": {"type": anchor} if isinstance(anchor, str) else anchor}


_UI_MODES = {"hosted": "hosted_page", "embedded": "embedded_page", "custom": "elements"}
_INTENTS = r"/v1/(checkout/sessions|payment_intents|setup_intents)\b"
_SUBSCRIPTIONS = r"/v1/subscriptions\b"

# Where, the older name, and what a value of it is today.
_CHANGED: tuple[tuple[str, str, Callable[[Any], dict[str, Any]]], ...] = (
    (_INTENTS, "payment_method_types", lambda types: {"allowed_payment_method_types": types}),
    (
        r"/v1/checkout/sessions$",
        "ui_mode",
        lambda mode: {"ui_mode": _UI_MODES.get(str(mode), mode)},
    ),
    (
        r"/v1/promotion_codes$",
        "coupon",
        lambda coupon: {"promotion": {"type": "coupon", "coupon": coupon}},
    ),
    (_SUBSCRIPTIONS, "coupon", lambda coupon: _discounts("coupon", coupon)),
    (_SUBSCRIPTIONS, "promotion_code", lambda code: _discounts("promotion_code", code)),
    (_SUBSCRIPTIONS + "/", "billing_cycle_anchor", _anchor),
    (r"/v1/invoiceitems\b", "price", lambda price: {"pricing": {"price": price}}),
)


def version_of(header: str | None) -> str:
    """The version that a request with this `Stripe-Version` asks for."""
    return header or ACCOUNT_DEFAULT


def is_todays(version: str) -> bool:
    return version == stripe.api_version


def in_todays_words(path: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request of an older version."""
    translated = dict(params)
    for where, name, today in _CHANGED:
        if name in translated and re.match(where, path):
            translated |= today(translated.pop(name))
    return translated
