"""Stripe's test cards and bank accounts: what each one does when it is used."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
    enhanced_eligibility_types: tuple[str, ...] = ()


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
    aliases: tuple[str, ...] = ()
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
    complaints: tuple[Complaint, ...] = ()
    fraud_warning: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def delayed(self) -> bool:
        return self.type != "card"


_DECLINED = "Your card was declined."
_HIGHEST_DIGIT = 9


def _declined(decline_code: str, message: str = _DECLINED, **more: str) -> Decline:
    network = more.get("network_decline_code", "05")
    advice = more.get("advice_code", "try_again_later")
    return Decline("card_declined", message, decline_code, advice, network)


GENERIC = _declined("generic_decline")
INSUFFICIENT_FUNDS = _declined(
    "insufficient_funds", "Your card has insufficient funds.", network_decline_code="51"
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment method"
    " and try again.",
)
INCORRECT_NUMBER = Decline("incorrect_number", "Your card number is incorrect.")
FRAUD = Complaint("fraudulent", "10.4")
NOT_RECEIVED = Complaint("product_not_received", "13.1")
INQUIRY = Complaint("fraudulent", "10.4", inquiry=True)
FORMER_CUSTOMER = Complaint(
    "fraudulent", "10.4", enhanced_eligibility_types=("visa_compelling_evidence_3",)
)
LIVE_CARD = Decline(
    "card_declined",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a"
    " list of valid test cards, visit: https://stripe.com/docs/testing.",
    "test_mode_live_card",
)


def _card(number: str, *aliases: str, **behaviour: object) -> Instrument:
    return Instrument(number, aliases, **behaviour)  # type: ignore[arg-type]  # the dataclass names them


def _declining(number: str, *aliases: str, why: Decline) -> Instrument:
    return Instrument(number, aliases, decline=why, attachable=False)


INSTRUMENTS: tuple[Instrument, ...] = (
    _card("4242424242424242", "visa", "us"),
    _card("4000056655665556", "visa_debit", funding="debit"),
    _card("5555555555554444", "mastercard", brand="mastercard"),
    _card("378282246310005", "amex", brand="amex"),
    _declining("4000000000000002", "visa_chargeDeclined", "chargeDeclined", why=GENERIC),
    _declining(
        "4000000000009995",
        "visa_chargeDeclinedInsufficientFunds",
        "chargeDeclinedInsufficientFunds",
        why=INSUFFICIENT_FUNDS,
    ),
    _declining(
        "4000000000009987",
        "visa_chargeDeclinedLostCard",
        "chargeDeclinedLostCard",
        why=_declined("lost_card", advice_code="do_not_try_again", network_decline_code="41"),
    ),
    _declining(
        "4000000000009979",
        "visa_chargeDeclinedStolenCard",
        "chargeDeclinedStolenCard",
        why=_declined("stolen_card", advice_code="do_not_try_again", network_decline_code="43"),
    ),
    _declining(
        "4000000000000069",
        "chargeDeclinedExpiredCard",
        why=Decline("expired_card", "Your card has expired.", None, "do_not_try_again", "54"),
    ),
    _declining(
        "4000000000000127",
        "chargeDeclinedIncorrectCvc",
        why=Decline(
            "incorrect_cvc", "Your card's security code is incorrect.", None, "confirm_card_data"
        ),
    ),
    _declining(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        why=Decline(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            None,
            "try_again_later",
        ),
    ),
    _declining(
        "4000000000006975",
        "visa_chargeDeclinedVelocityLimitExceeded",
        "chargeDeclinedVelocityLimitExceeded",
        why=_declined(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding its"
            " amount limit.",
        ),
    ),
    _card("4000000000000341", "chargeCustomerFail", decline=GENERIC),
    _card(
        "4000002760003184",
        "authenticationRequired",
        "threeDSecure2Required",
        authentication="always",
    ),
    _card("4000002500003155", "authenticationRequiredOnSetup", authentication="unless_set_up"),
    _card(
        "4000003800000446",
        "authenticationRequiredSetupForOffSession",
        authentication="on_session",
    ),
    _card(
        "4000008260003178",
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        authentication="always",
        decline=INSUFFICIENT_FUNDS,
    ),
    _card("4000008400001629", authentication="always", decline=GENERIC),
    _card("4000000000007726", "pendingRefund", refunds="pending"),
    _card("4000000000005126", "refundFail", refunds="fails"),
    _card("4000000000000259", "createDispute", complaints=(FRAUD,)),
    _card("4000000000002685", "createDisputeProductNotReceived", complaints=(NOT_RECEIVED,)),
    _card("4000000000001976", "createDisputeInquiry", complaints=(INQUIRY,)),
    _card("4000000404000079", "createMultipleDisputes", complaints=(FRAUD, NOT_RECEIVED)),
    _card("4000000404000038", "createCe3EligibleDispute", complaints=(FORMER_CUSTOMER,)),
    _card("4000000000005423", "createIssuerFraudRecord", fraud_warning=True),
    _card("4000000000000077", "bypassPending", available_at_once=True),
    _declining(
        "4100000000000019",
        "radarBlock",
        why=Decline("card_declined", _DECLINED, "fraudulent", blocked=True),
    ),
    _card("4000000000009235", "riskLevelElevated", risk_level="elevated"),
    Instrument("000123456789", ("usBankAccount_success", "usBankAccount"), "us_bank_account"),
    Instrument(
        "000222222227",
        ("usBankAccount_insufficientFunds",),
        "us_bank_account",
        decline=Decline(
            "insufficient_funds",
            "The customer's account has insufficient funds to cover this payment.",
        ),
    ),
    Instrument("AT611904300234573201", (), "sepa_debit", country="AT"),
    Instrument("AT321904300235473204", (), "sepa_debit", country="AT"),
    Instrument(
        "IT60X0542811101000000123456",
        (),
        "sepa_debit",
        country="IT",
        decline=Decline("debit_not_authorized", "The debit was not authorized by the customer."),
    ),
)


def recognise(text: str) -> Instrument | None:
    """The instrument behind a test method, a token, a card number, an account or an IBAN."""
    return _by_name().get(text) or _by_name().get(text.replace(" ", "").replace("-", "").upper())


def judge(number: str) -> Instrument | Decline:
    """The test card with this number, or why no other number is taken."""
    known = recognise(number)
    if known:
        return known
    return LIVE_CARD if _luhn(number.replace(" ", "").replace("-", "")) else INCORRECT_NUMBER


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
