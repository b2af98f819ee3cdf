"""Stripe's test cards and bank accounts (cards.toml): what each one does when it is used."""

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PaymentMethodType = Literal["card", "us_bank_account", "sepa_debit"]
Authentication = Literal["never", "always", "unless_set_up", "on_session"]
RefundOutcome = Literal["succeeds", "pending", "fails"]


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an attempt fails."""

    code: str
    message: str
    decline_code: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a charge is disputed; an inquiry only asks, and takes no money."""

    reason: str
    network_reason_code: str
    inquiry: bool = False
    enhanced_eligibility_types: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Instrument:
    """A card or bank account and its behaviour.

    Attributes:
        aliases: the names after `pm_` (for cards `pm_card_` and `tok_`).
        attachable: a declining card cannot be attached to a customer, with one exception.
        complaints: the disputes that follow a charge.
        fraud_warning: the card's bank reports the charge as fraud.
    """

    number: str
    aliases: Sequence[str] = ()
    type: PaymentMethodType = "card"
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    attachable: bool = True
    authentication: Authentication = "never"
    refunds: RefundOutcome = "succeeds"
    available_at_once: bool = False
    risk_level: str = "normal"
    complaints: Sequence[Complaint] = ()
    fraud_warning: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def delayed(self) -> bool:
        return self.type != "card"


def _read() -> tuple[dict[str, Decline], tuple[Instrument, ...]]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    declines = {name: Decline(**facts) for name, facts in table["declines"].items()}
    complaints = {name: Complaint(**facts) for name, facts in table["complaints"].items()}
    instruments = []
    for number, facts in table["instruments"].items():
        why = declines[facts.pop("decline")] if "decline" in facts else None
        these = [complaints[name] for name in facts.pop("complaints", ())]
        instruments.append(Instrument(number, decline=why, complaints=these, **facts))
    return declines, tuple(instruments)


DECLINES, INSTRUMENTS = _read()
_HIGHEST_DIGIT = 9


def recognise(text: str) -> Instrument | None:
    """The instrument behind a test method, a token, a card number, an account or an IBAN."""
    return _by_name().get(text) or _by_name().get(text.replace(" ", "").replace("-", "").upper())


def judge(number: str) -> Instrument | Decline:
    """The test card with this number, or why no other number is taken."""
    known = recognise(number)
    if known:
        return known
    real = _luhn(number.replace(" ", "").replace("-", ""))
    return DECLINES["live_card" if real else "incorrect_number"]


@functools.cache
def _by_name() -> Mapping[str, Instrument]:
    names: dict[str, Instrument] = {}
    for instrument in INSTRUMENTS:
        names[instrument.number] = instrument
        for alias in instrument.aliases:
            if instrument.type == "card":
                names[f"pm_card_{alias}"] = names[f"tok_{alias}"] = instrument
            else:
                names[f"pm_{alias}"] = instrument
    return names


def _luhn(number: str) -> bool:
    if not number.isdigit():
        return False
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(number))]
    return sum(d - _HIGHEST_DIGIT if d > _HIGHEST_DIGIT else d for d in doubled) % 10 == 0
