"""What a booking costs, from the catalogue."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Invalid, Unavailable
from payments.core.money import MAXIMUM, Money, minimum
from payments.domains.catalog.tables import prices

MENU: Final = "menu_"
DEPOSIT: Final = "booking_deposit"


async def menu_price(tx: AsyncConnection, *, menu: str, guests: int) -> tuple[Money, int]:
    """The total and the deposit of a booking: the menu's price for each guest.

    Raises:
        Invalid: no such menu; the menus there are are named.
        Unavailable: the catalogue is empty.
    """
    menus = await prices(tx, MENU)
    if not menus:
        raise Unavailable("the catalogue is empty; run `payments catalog apply`")
    if (each := menus.get(f"{MENU}{menu}")) is None:
        known = ", ".join(sorted(key.removeprefix(MENU) for key in menus))
        raise Invalid(f"menu: there is no {menu!r}; send one of {known}")
    total = each.amount * guests
    if total > MAXIMUM:
        raise Invalid(f"guests: {guests} guests cost more than can be charged at once")
    deposit = (await prices(tx, DEPOSIT)).get(DEPOSIT)
    held = deposit.amount if deposit and deposit.currency == each.currency else 0
    rest = total - held
    if rest < minimum(each.currency):
        held = total  # a rest so small could never be charged
    return Money(total, each.currency), held
