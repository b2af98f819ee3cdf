"""Money is an integer of minor units and a currency; the one table of exponents is here.

Source: Stripe, "Supported currencies". Stripe charges ISK and UGX in two decimals that must be 00
although ISO 4217 gives them none, and MGA in none although ISO gives it two; so neither babel nor
an ISO table may decide an exponent.
"""

from decimal import Decimal
from typing import Final, NamedTuple

from babel.numbers import format_currency, get_currency_symbol

from payments.core.errors import AmountNotChargeable, Invalid

ZERO_DECIMAL: Final = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
THREE_DECIMAL: Final = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE_UNITS_ONLY: Final = frozenset({"isk", "ugx"})

MAXIMUM: Final = 99_999_999
_MINIMUM: Final = {
    **dict.fromkeys(["aud", "brl", "cad", "chf", "eur", "inr", "nzd", "sgd", "usd"], 50),
    **dict.fromkeys(["aed", "myr", "pln", "ron"], 200),
    **dict.fromkeys(["jpy", "krw"], 50),
    **dict.fromkeys(["mxn", "thb"], 1000),
    **dict.fromkeys(["nok", "sek"], 300),
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
}


class Money(NamedTuple):
    """An amount in minor units (10000 is 100.00 usd) and its lower-case ISO currency."""

    amount: int
    currency: str

    def __str__(self) -> str:
        return display(self.amount, self.currency)


def exponent(currency: str) -> int:
    """How many decimals a minor unit stands for: 2 for usd, 0 for jpy, 3 for kwd."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def major(amount: int, currency: str) -> Decimal:
    return Decimal(amount).scaleb(-exponent(currency))


def minor(amount: Decimal, currency: str) -> int:
    """Minor units of an amount in major ones: 50.00 usd is 5000.

    Raises:
        Invalid: it has more decimals than the currency.
    """
    scaled = amount.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value():
        raise Invalid(f"{amount} has more decimals than {currency}, which has {exponent(currency)}")
    return int(scaled)


def display(amount: int, currency: str, locale: str = "en_US") -> str:
    """`$100.00`, `¥5,000`, `KWD 1.230`: as many decimals as Stripe's minor unit has."""
    symbol = get_currency_symbol(currency.upper(), locale)
    space = " " if symbol[-1].isalpha() else ""
    zeros = "0" * exponent(currency)
    pattern = f"¤{space}#,##0.{zeros}" if zeros else f"¤{space}#,##0"
    return format_currency(
        major(amount, currency), currency.upper(), pattern, locale=locale, currency_digits=False
    )


def minimum(currency: str) -> int:
    """The least that Stripe charges in a currency; 1 where only conversion decides."""
    return _MINIMUM.get(currency, 1)


def ensure_chargeable(amount: int, currency: str) -> None:
    """Refuse what Stripe would refuse, before anything is reserved.

    Raises:
        AmountNotChargeable: too small, too large, or not a multiple that the currency demands.
    """
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1
    least = minimum(currency)
    if amount < least:
        raise AmountNotChargeable(
            f"{amount} is {display(amount, currency)}; the least that can be charged in {currency} "
            f"is {least} minor units ({display(least, currency)})"
        )
    if amount > MAXIMUM:
        raise AmountNotChargeable(f"at most {MAXIMUM} minor units can be charged, not {amount}")
    if amount % step:
        raise AmountNotChargeable(
            f"an amount in {currency} must be a multiple of {step} minor units, not {amount}"
        )
