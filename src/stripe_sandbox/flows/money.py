"""Amounts in Stripe's minor units: exponents, limits, fees and how they are written."""

from fractions import Fraction
from math import floor

from stripe_sandbox.contract.errors import invalid


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


ZERO_DECIMAL = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
THREE_DECIMAL = _codes("bhd jod kwd omr tnd")
TWO_DECIMAL = _codes(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad"
    " cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl"
    " htg huf idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop"
    " mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar"
    " sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd uyu uzs wst"
    " xcd xcg yer zar zmw"
)

# Stripe lists no minimum for the others.
_MINIMUM = {
    **dict.fromkeys(
        _codes("usd aud brl cad chf eur inr nzd sgd ars cop idr ils php rub zar jpy krw"), 50
    ),
    **dict.fromkeys(_codes("aed myr pln ron"), 200),
    **dict.fromkeys(_codes("mxn thb"), 1000),
    **dict.fromkeys(_codes("nok sek"), 300),
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
}
_MAXIMUM = {"idr": 999_999_999_999, "cop": 9_999_999_999, "inr": 999_999_999}
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "ils": "₪", "krw": "₩"}


def exponent(currency: str) -> int:
    """How many digits of an amount stand after the point."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def known_currency(currency: str, *, param: str = "currency") -> str:
    """The currency in lower case, or Stripe's refusal."""
    lowered = currency.lower()
    if lowered in TWO_DECIMAL or lowered in ZERO_DECIMAL or lowered in THREE_DECIMAL:
        return lowered
    supported = ", ".join(sorted(TWO_DECIMAL | ZERO_DECIMAL | THREE_DECIMAL))
    raise invalid(
        f"Invalid currency: {currency}. Stripe currently supports these currencies: {supported}",
        param=param,
    )


def display(amount: int, currency: str) -> str:
    """`$100.00`, `¥500`, `CHF 12.50`."""
    symbol = _SYMBOLS.get(currency, f"{currency.upper()} ")
    return ("-" if amount < 0 else "") + symbol + in_major_units(abs(amount), currency, "{:,}")


def in_major_units(amount: int, currency: str, whole: str = "{}") -> str:
    """`-1250.00`; `whole` formats what stands before the point."""
    digits = exponent(currency)
    major, minor = divmod(abs(amount), 10**digits)
    point = f".{minor:0{digits}d}" if digits else ""
    return ("-" if amount < 0 else "") + whole.format(major) + point


def require_chargeable(amount: int, currency: str, *, param: str = "amount") -> None:
    require_representable(amount, currency, param=param)
    least = least_charge(currency)
    if amount < least:
        text = f"Amount must be at least {display(least, currency)} {currency}"
        raise invalid(text, code="amount_too_small", param=param)
    most = _MAXIMUM.get(currency, 99_999_999)
    if amount > most:
        text = f"Amount must be no more than {display(most, currency)} {currency}"
        raise invalid(text, code="amount_too_large", param=param)


def least_charge(currency: str) -> int:
    return _MINIMUM.get(currency, 1)


def require_representable(amount: int, currency: str, *, param: str = "amount") -> None:
    """Networks carry two decimals, so the last of three must be zero."""
    if amount < 1:
        text = "This value must be greater than or equal to 1."
        raise invalid(text, code="parameter_invalid_integer", param=param)
    if currency in THREE_DECIMAL and amount % 10:
        text = f"Invalid amount: the last digit of an amount in {currency} must be 0"
        raise invalid(text, param=param)


def half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def stripe_fee(amount: int, currency: str) -> int:
    """2.9 % rounded half up, and thirty hundredths (thirty whole units where there are none)."""
    fixed = 300 if currency in THREE_DECIMAL else 30
    return (amount * 29 + 500) // 1000 + fixed
