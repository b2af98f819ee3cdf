"""Amounts: exponents, signs, fees."""

import pytest

from stripe_sandbox.flows.money import display, exponent, stripe_fee


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (10_000, "usd", "$100.00"),
        (5, "usd", "$0.05"),
        (-1_234_567, "eur", "-€12,345.67"),
        (500, "jpy", "¥500"),
        (1_500, "kwd", "KWD 1.500"),
        (500, "isk", "ISK 5.00"),
        (500, "ugx", "UGX 5.00"),
        (1_250, "chf", "CHF 12.50"),
    ],
)
def test_an_amount_is_written_with_the_digits_of_its_currency(
    amount: int, currency: str, text: str
) -> None:
    assert display(amount, currency) == text


@pytest.mark.parametrize(
    ("currency", "digits"), [("usd", 2), ("jpy", 0), ("kwd", 3), ("isk", 2), ("ugx", 2), ("mga", 0)]
)
def test_exponents_are_stripes(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize(
    ("amount", "currency", "fee"),
    [(10_000, "usd", 320), (50, "usd", 31), (500, "usd", 45), (1_017, "usd", 59), (100, "jpy", 33)],
)
def test_a_fee_is_rounded_half_up(amount: int, currency: str, fee: int) -> None:
    assert stripe_fee(amount, currency) == fee
