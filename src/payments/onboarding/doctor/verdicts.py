"""What an examination looks at, and what it says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from payments.core.db import Clock, Database
from payments.settings import Settings
from payments.stripe_api.service import StripeService
from payments.sync.resources import Registry

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """One installation.

    Attributes:
        settings: as loaded.
        registry: what follows Stripe.
        stripe: built without STRIPE_API_VERSION, so that a wrong one can be reported.
        db: None without a DATABASE_URL.
        clock: this machine's.
        catalogue: the file that `payments catalog apply` is given.
        url: where Stripe posts to; None to recognise it.
    """

    settings: Settings
    registry: Registry
    stripe: StripeService
    db: Database | None
    clock: Clock
    catalogue: Path
    url: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen; unless it is well, `fix` is a command to run or a variable to set."""

    state: State
    said: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on one topic."""

    topic: str
    state: State
    said: str
    fix: str | None


def well(said: str) -> Verdict:
    return Verdict("ok", said)


def doubtful(said: str, *, fix: str) -> Verdict:
    return Verdict("warning", said, fix)


def wrong(said: str, *, fix: str) -> Verdict:
    return Verdict("failed", said, fix)
