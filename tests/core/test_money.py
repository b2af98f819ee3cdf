"""Money: the one table of exponents, and what Stripe charges."""

from decimal import Decimal

import pytest

from payments.core.errors import AmountNotChargeable
from payments.core.money import (
    MAXIMUM,
    THREE_DECIMAL,
    WHOLE_UNITS_ONLY,
    ZERO_DECIMAL,
    Money,
    display,
    ensure_chargeable,
    exponent,
    major,
    minimum,
)

# Stripe, "Supported currencies": zero-decimal, three-decimal and the special cases.
ZERO = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
]  # fmt: skip
THREE = ["bhd", "jod", "kwd", "omr", "tnd"]


def test_the_table_is_stripes() -> None:
    assert sorted(ZERO_DECIMAL) == ZERO
    assert sorted(THREE_DECIMAL) == THREE
    assert sorted(WHOLE_UNITS_ONLY) == ["isk", "ugx"]
    expected = dict.fromkeys(ZERO, 0) | dict.fromkeys(THREE, 3)
    expected |= dict.fromkeys(["usd", "eur", "huf", "twd", "isk", "ugx", "gbp"], 2)
    assert {currency: exponent(currency) for currency in expected} == expected


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (10000, "usd", "$100.00"),
        (1, "usd", "$0.01"),
        (0, "usd", "$0.00"),
        (123456789, "usd", "$1,234,567.89"),
        (5000, "jpy", "¥5,000"),
        (1, "jpy", "¥1"),
        (1230, "kwd", "KWD 1.230"),
        (5, "kwd", "KWD 0.005"),
        (44000, "isk", "ISK 440.00"),
        (100, "ugx", "UGX 1.00"),
        (7, "mga", "MGA 7"),
        (1000, "eur", "€10.00"),
    ],
)
def test_an_amount_is_shown_in_as_many_decimals_as_it_is_counted(
    amount: int, currency: str, shown: str
) -> None:
    # a code of letters stands apart from the figure, as the docstring of `display` shows it
    assert display(amount, currency).replace("\N{NO-BREAK SPACE}", " ") == shown
    assert str(Money(amount, currency)) == display(amount, currency)


@pytest.mark.parametrize("currency", ["jpy", "kwd", "isk", "usd", "mga"])
@pytest.mark.parametrize("amount", [0, 1, 10, 99, 100, 12345, MAXIMUM, 2**53 + 1])
def test_minor_to_major_and_back_is_the_same_amount(currency: str, amount: int) -> None:
    value = major(amount, currency)
    assert isinstance(value, Decimal)
    assert value.scaleb(exponent(currency)) == amount


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (50, "usd"),
        (MAXIMUM, "usd"),
        (30, "gbp"),
        (50, "jpy"),
        (51, "jpy"),
        (1000, "kwd"),
        (1010, "kwd"),
        (100, "isk"),
        (100, "ugx"),
        (17500, "huf"),
        (1, "xpf"),
    ],
)
def test_what_stripe_charges_is_chargeable(amount: int, currency: str) -> None:
    ensure_chargeable(amount, currency)
    assert amount >= minimum(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (49, "usd", "$0.50"),
        (0, "usd", "50"),
        (-1, "usd", "50"),
        (0, "xpf", "1"),
        (MAXIMUM + 1, "usd", str(MAXIMUM)),
        (29, "gbp", "30"),
        (49, "jpy", "50"),
        (1001, "kwd", "10"),
        (150, "isk", "100"),
        (1, "ugx", "100"),
    ],
)
def test_what_stripe_would_refuse_is_refused_with_the_figure_to_send(
    amount: int, currency: str, told: str
) -> None:
    with pytest.raises(AmountNotChargeable, match=str(amount)) as refused:
        ensure_chargeable(amount, currency)
    assert told in refused.value.detail
