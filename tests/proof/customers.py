"""Two hundred payments of every kind, by customers who do not give up."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final

from converge.oracle import Objects, differences, expected_booking
from payments.domains import assemble
from proof.running import Running
from world import Json

TOTAL, DEPOSIT = 44_000, 10_000
USERS: Final = 20
AT_ONCE: Final = 12
CARDS: Final = (
    ("pm_card_visa",),
    ("pm_card_chargeDeclined", "pm_card_visa"),
    ("pm_usBankAccount",),
    ("pm_card_chargeDeclined", "pm_usBankAccount_insufficientFunds"),
    ("pm_card_pendingRefund",),
    ("pm_card_refundFail",),
    (),
)
"""What a customer tries, one after the other; some never pay."""
LISTS: Final = {
    "payment_intent": "payment_intents",
    "refund": "refunds",
    "dispute": "disputes",
    "checkout.session": "checkout/sessions",
    "customer": "customers",
    "product": "products",
    "price": "prices",
}


@dataclass
class Customers:
    """They come one after the other, a few at a time."""

    running: Running
    random: Random

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def pay(self, n: int) -> None:
        """One booking: made, paid in one way or another, perhaps completed, perhaps refunded."""
        async with self._places:
            booking = await self._book(n)
            cards = self.random.choice(CARDS)
            opened = await self._open(booking, "deposit")
            for card in cards:
                await asyncio.sleep(self.random.random() * 0.2)
                await self._try(opened, card)
            if cards[-1:] == ("pm_card_visa",) and self.random.random() < 0.5:
                # The balance is offered only once the deposit is known to be paid.
                await self._try(await self._open(booking, "balance"), "pm_card_visa")
            await self._refund(opened)

    async def _book(self, n: int) -> Json:
        reference = f"order-{n}"
        price = {"total_cents": TOTAL, "deposit_cents": DEPOSIT, "user_id": f"u-{n % USERS}"}
        made = await self.running.ask(
            "POST", "/bookings", {"reference": reference, **price}, taken=f"/bookings/{reference}"
        )
        assert made["reference"] == reference
        return made

    async def _open(self, booking: Json, purpose: str) -> Json:
        form = self.random.choice(("create-checkout-session", "create-payment-intent"))
        body = {"booking_id": booking["id"], "payment_type": purpose}
        return await self.running.ask("POST", f"/stripe/{form}", body)

    async def _try(self, opened: Json, card: str) -> None:
        if "session_id" in opened:
            path = f"/v1/payment_pages/{opened['session_id']}/confirm"
            form = {"payment_method": card, "expected_amount": opened["amount_cents"]}
        else:
            path = f"/v1/payment_intents/{opened['id']}/confirm"
            form = {"payment_method": card, "return_url": "https://shop.example/back"}
        await self.running.at_stripe("POST", path, **form)

    async def _refund(self, opened: Json) -> None:
        intent = opened.get("id")
        if "session_id" in opened:
            path = f"/v1/checkout/sessions/{opened['session_id']}"
            intent = (await self.running.at_stripe("GET", path))["payment_intent"]
        if intent is None or self.random.random() < 0.5:
            return
        found = await self.running.at_stripe("GET", f"/v1/payment_intents/{intent}")
        if found["status"] == "succeeded":
            amount = self.random.choice((1_000, found["amount_received"]))
            await self.running.at_stripe(
                "POST", "/v1/refunds", payment_intent=intent, amount=amount
            )


async def stripes_objects(running: Running) -> Objects:
    return {kind: await running.every(path) for kind, path in LISTS.items()}


async def wrong(running: Running, stripe: Objects, bookings: int) -> list[str]:
    """Each row that is not as Stripe has it, each booking that says something else, each event that
    is not done.
    """
    events = await running.every("events")
    happened = [event["data"]["object"] for event in events]
    announced = {object["id"] for object in happened if object["object"] in LISTS}
    registry = assemble().registry
    async with running.db.acquire() as connection:
        found = await differences(connection, registry, stripe, announced)
        left = "select id from stripe_events where not_before is not null or outcome = 'dead'"
        found += [f"{row['id']} is not done" for row in await connection.fetch(left)]
        stored = {row["id"] for row in await connection.fetch("select id from stripe_events")}
    found += [f"{event['id']} is not stored" for event in events if event["id"] not in stored]
    for n in range(bookings):
        booking = await running.ask("GET", f"/bookings/order-{n}")
        wanted = expected_booking(booking, stripe, total=TOTAL, deposit=DEPOSIT)
        if (said := {name: booking[name] for name in wanted}) != wanted:
            found.append(f"{booking['id']}: says {said}, Stripe {wanted}")
    return found
