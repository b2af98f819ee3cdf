"""Stripe's webhook signatures: who signed a delivery, and signing one of our own."""

import hashlib
from collections.abc import Iterable
from typing import Final

import stripe

TOLERANCE: Final = 300
"""Seconds that a signature may be old, or ahead of our clock."""


def fingerprint(secret: str) -> str:
    """What a secret is called where it must not be shown."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def signer(text: str, header: str, secrets: Iterable[str]) -> str | None:
    """The fingerprint of the secret that signed a text; None when it was none of these, or too long
    ago.
    """
    return next((fingerprint(secret) for secret in secrets if _signed(text, header, secret)), None)


def _signed(text: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret, TOLERANCE))
    except stripe.SignatureVerificationError:
        return False


def sign(text: str, secret: str) -> str:
    """The Stripe-Signature header of a text that is signed now."""
    return str(stripe.WebhookSignature.generate_signature_header(text, secret))
