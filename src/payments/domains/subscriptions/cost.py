"""What a subscription costs a period, as far as its object says so: amounts and discounts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

EXPANDED: Final = "discounts.source.coupon"
"""Without it Stripe names a subscription's discounts, and not what they take off."""


def is_whole(subscription: Mapping[str, Any]) -> bool:
    """Whether it says what its discounts take off."""
    named = subscription.get("discounts")
    return isinstance(named, list) and not any(isinstance(one, str) for one in named)


def item_cost(item: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    """What an item costs each time it is billed, in minor units of the subscription's currency.
    `amount` is null where the object does not say: tiers, usage, fractions of a minor unit, a price
    in another currency, discounts of the item's own.
    """
    recurring = item["price"].get("recurring") or {}
    return {
        "amount": _amount(item, recurring, currency),
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
    }


def _amount(
    item: Mapping[str, Any], recurring: Mapping[str, Any], currency: str | None
) -> int | None:
    price, quantity = item["price"], item.get("quantity")
    unit = price.get("unit_amount")
    if unit is None or quantity is None or recurring.get("usage_type") == "metered":
        return None
    if price.get("currency") != currency or item.get("discounts"):
        return None
    return int(unit) * _units(quantity, price.get("transform_quantity"))


def _units(quantity: int, packed: Mapping[str, Any] | None) -> int:
    """How many are paid for, where a price is for a package."""
    if packed is None:
        return quantity
    size = int(packed["divide_by"])
    return -(-quantity // size) if packed["round"] == "up" else quantity // size


def recurring_discounts(subscription: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that come off more than one bill, in the order in which they do. Of a coupon that says
    nothing, what is off is null.
    """
    given = (one for one in subscription.get("discounts") or () if isinstance(one, dict))
    found = (_discount(one, one["source"].get("coupon")) for one in given)
    return [discount for discount in found if discount is not None]


def _discount(discount: Mapping[str, Any], coupon: Any) -> dict[str, Any] | None:
    known = coupon if isinstance(coupon, dict) else {"id": coupon}
    if known.get("duration") == "once":
        return None
    percent = known.get("percent_off")
    return {
        "coupon": known["id"],
        "percent_off": None if percent is None else f"{Decimal(str(percent)).normalize():f}",
        "amount_off": known.get("amount_off"),
        "currency": known.get("currency"),
        "end": discount.get("end"),
    }
