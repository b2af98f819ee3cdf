"""One run of everything at once while Stripe misbehaves: bookings, payments, refunds, disputes."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import uuid4

import httpx2

from converge.oracle import differences, expected_booking
from payments.domains import assemble
from proof.customers import DEPOSIT, LISTS, TOTAL
from proof.running import Running
from world import Json

BOOKINGS: Final = 3
CARDS: Final = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_card_createDispute",
    "pm_usBankAccount",
    "pm_usBankAccount_insufficientFunds",
)
RATES: Final = {
    "duplicate": 0.3, "reorder": 0.2, "delay": 0.2, "429": 0.05, "500_before": 0.05,
    "500_after": 0.05, "slow": 0.1, "cut": 0.05, "seconds": 0.2,
}  # fmt: skip
FINAL: Final = (400, 402, 404)
TRIES: Final = 5


@dataclass
class Stripe:
    """What Stripe has, learnt run by run: what an earlier run has made changes no more."""

    objects: dict[str, dict[str, Json]] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)

    async def learn(self, running: Running) -> Counter[str]:
        """Take in what is new; return how much that is, by kind."""
        found: Counter[str] = Counter()
        for kind, path in {**LISTS, "event": "events"}.items():
            known = self.objects.setdefault(kind, {})
            async for object in running.newest(path):
                if object["id"] in known:
                    break
                known[object["id"]] = object
                found[kind] += 1
                if kind == "event":
                    self.announced.add(object["data"]["object"]["id"])
        return found

    def living(self) -> Mapping[str, list[Json]]:
        return {kind: list(self.objects[kind].values()) for kind in LISTS}


@dataclass
class Rough:
    """One run; `name` is part of what it makes."""

    running: Running
    stripe: Stripe
    random: Random
    name: str

    async def go(self, count: Counter[str]) -> list[str]:
        """Let it all happen, and then come to rest; return what is wrong then."""
        seed = self.random.randrange(2**31)
        await self._switch("POST", "/_sandbox/chaos", {"seed": seed, **RATES})
        references = [f"{self.name}-{n}" for n in range(BOOKINGS)]
        async with asyncio.TaskGroup() as lives:
            for reference in references:
                lives.create_task(self._live(reference))
        await self._switch("DELETE", "/_sandbox/chaos")
        await self.running.quiet()
        count.update(await self.stripe.learn(self.running))
        return await self._wrong(references)

    async def _switch(self, method: str, path: str, body: Any = None) -> None:
        answer = await self.running.stripe.request(method, path, json=body)
        assert answer.is_success, answer.text

    async def _live(self, reference: str) -> None:
        price = {"total_cents": TOTAL, "deposit_cents": DEPOSIT, "user_id": f"u-{reference}"}
        body = {"reference": reference, **price}
        await self.running.ask("POST", "/bookings", body, taken=f"/bookings/{reference}")
        booking = await self.running.ask("GET", f"/bookings/{reference}")
        form = self.random.choice(("create-checkout-session", "create-payment-intent"))
        purpose = self.random.choice(("deposit", "full"))
        wish = {"booking_id": booking["id"], "payment_type": purpose}
        opened = await self.running.ask("POST", f"/stripe/{form}", wish)
        intent = await self._pay(opened)
        if intent is not None:
            async with asyncio.TaskGroup() as refunds:
                for part in range(3):
                    refunds.create_task(self._refund(intent, 1_000 + part))

    async def _pay(self, opened: Json) -> str | None:
        """Return the PaymentIntent, once it is known."""
        card = self.random.choice(CARDS)
        if "session_id" not in opened:
            form = {"payment_method": card, "return_url": "https://shop.example/back"}
            await self._try(f"/v1/payment_intents/{opened['id']}/confirm", **form)
            return str(opened["id"])
        path = f"/v1/payment_pages/{opened['session_id']}/confirm"
        form = {"payment_method": card, "expected_amount": opened["amount_cents"]}
        paid = await self._try(path, **form)
        return paid and paid.get("payment_intent") and str(paid["payment_intent"]["id"])

    async def _refund(self, intent: str, amount: int) -> None:
        await asyncio.sleep(self.random.random() * 0.05)
        await self._try("/v1/refunds", payment_intent=intent, amount=amount)

    async def _try(self, path: str, **form: Any) -> Json | None:
        """Ask as a page does: under one key, a few times. Whether it was done shows in the end."""
        headers = {"Idempotency-Key": uuid4().hex}
        for _ in range(TRIES):
            try:
                answer = await self.running.stripe.post(path, data=form, headers=headers)
            except httpx2.TransportError:
                continue
            if answer.is_success:
                found: Json = answer.json()
                return found
            if answer.status_code in FINAL:
                return None
        return None

    async def _wrong(self, references: list[str]) -> list[str]:
        registry, living = assemble().registry, self.stripe.living()
        made = {id for objects in living.values() for id in (o["id"] for o in objects)}
        async with self.running.db.acquire() as connection:
            announced = self.stripe.announced & made
            found = await differences(connection, registry, living, announced)
            left = "not_before is not null or outcome = 'dead' or attempts > 0"
            rows = await connection.fetch(f"select id, error from stripe_events where {left}")
            found += [f"{row['id']} is not done: {row['error']}" for row in rows]
            stored = {r["id"] for r in await connection.fetch("select id from stripe_events")}
        found += [f"{id} is not stored" for id in self.stripe.objects["event"] if id not in stored]
        for reference in references:
            booking = await self.running.ask("GET", f"/bookings/{reference}")
            wanted = expected_booking(booking, living, total=TOTAL, deposit=DEPOSIT)
            if (said := {name: booking[name] for name in wanted}) != wanted:
                found.append(f"{reference}: says {said}, Stripe {wanted}")
        return found
