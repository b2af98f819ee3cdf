"""A key that Stripe refuses, told once an outage, however many calls meet it."""

from typing import Any, Final

import structlog

from payments.core.errors import StripeMisconfigured
from payments.core.telemetry import KEY_ACCEPTED, alert

log = structlog.get_logger(__name__)

KEY_REFUSED: Final = "Stripe refused this service's key; check STRIPE_SECRET_KEY"
PATIENCE: Final = 60
"""Seconds until the next try: it takes a person to put a key right."""


class Refusals:
    """What one process has said of its key. A permission that is lacking, and another account's
    key, are told once: other calls succeed meanwhile, and it takes another key to end them.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, problem: StripeMisconfigured, **facts: Any) -> None:
        if problem.detail not in self._told:
            self._told.add(problem.detail)
            KEY_ACCEPTED.set(0)
            alert("stripe_key_refused", problem.detail, **facts)

    def accepted(self) -> None:
        """A call has succeeded, so the key as such is right."""
        if KEY_REFUSED in self._told:
            self._told.remove(KEY_REFUSED)
            log.warning("Stripe accepts this service's key again")
        KEY_ACCEPTED.set(0 if self._told else 1)
