"""Which offer a request means: the browser names a purpose or a sum, the payable the price."""

from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from payments.core.errors import Conflict, Invalid
from payments.core.money import Money, ensure_chargeable
from payments.core.principal import Principal
from payments.domains.payables import Offer, Payable, Purpose

GUESSED: Final[tuple[Purpose, ...]] = ("deposit", "balance", "full")


async def meant(
    tx: AsyncConnection,
    payable: Payable,
    *,
    id: str,
    purpose: Purpose | None,
    amount: int | None,
    principal: Principal,
) -> Offer:
    """The offer that a purpose, a sum or both stand for.

    Raises:
        Invalid: the sum is not what is due for that purpose; both figures are named.
        Conflict: nothing is due.
    """
    if purpose is None:
        offer = await _guessed(tx, payable, id=id, amount=amount, principal=principal)
    else:
        offer = await payable.offer(tx, id=id, purpose=purpose, principal=principal)
        offer = _with_amount(offer, amount, principal)
    ensure_chargeable(*offer.money)
    return offer


async def _guessed(
    tx: AsyncConnection, payable: Payable, *, id: str, amount: int | None, principal: Principal
) -> Offer:
    offers: list[Offer] = []
    refusals: list[Conflict] = []
    for purpose in GUESSED:
        try:
            offers.append(await payable.offer(tx, id=id, purpose=purpose, principal=principal))
        except Conflict as exc:
            refusals.append(exc)
    if not offers:
        raise refusals[-1]
    if amount is None:
        return offers[0]
    for offer in offers:
        if offer.money.amount == amount:
            return offer
    due = "; ".join(f"{o.purpose}: {o.money.amount} ({o.money})" for o in offers)
    raise Invalid(
        f"the sum is {amount}, but what is due is {due}; send that, or leave the amount out"
    )


def _with_amount(offer: Offer, amount: int | None, principal: Principal) -> Offer:
    if amount is None or amount == offer.money.amount:
        if not offer.money.amount:
            raise Invalid(f"name the amount of the {offer.purpose}: amount_cents, in minor units")
        return offer
    if offer.purpose == "addon" and not principal.privileged:
        raise Invalid("payment_type: only a service or an admin may name the amount of an addon")
    if not principal.privileged:
        raise Invalid(
            f"{amount} was sent, but the {offer.purpose} is {offer.money.amount} ({offer.money}); "
            "send that, or leave the amount out"
        )
    if offer.purpose != "addon" and amount > offer.due.amount:
        raise Invalid(f"{amount} is more than all that is due: {offer.due.amount} ({offer.due})")
    return replace(offer, money=Money(amount, offer.money.currency))
