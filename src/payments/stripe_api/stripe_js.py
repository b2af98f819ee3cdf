"""Stripe.js, the script that front ends load: where it is, and what a page must allow for it."""

from typing import Final

import stripe

# Stripe.js is released in the same trains as the API: 2026-10-28.endive.
TRAIN: Final = stripe.api_version.partition(".")[2]


def address(base: str | None) -> str:
    """The script's URL; an offline Stripe (STRIPE_API_BASE) serves a stand-in of its own."""
    return f"{(base or 'https://js.stripe.com').rstrip('/')}/{TRAIN}/stripe.js"


def sources(base: str | None) -> str:
    """What a page's Content-Security-Policy names as script-src, frame-src and connect-src."""
    if base:
        return base.rstrip("/")
    hosts = ("js.stripe.com", "*.js.stripe.com", "hooks.stripe.com", "api.stripe.com")
    return " ".join(f"https://{host}" for host in hosts)
