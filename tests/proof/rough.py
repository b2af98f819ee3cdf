"""Runs of everything at once while Stripe misbehaves: bookings, payments, refunds, disputes."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
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
    "500_after": 0.05, "slow": 0.3, "cut": 0.05, "seconds": 0.2,
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


async def happen(
    running: Running, stripe: Stripe, runs: Sequence["Rough"], count: Counter[str]
) -> list[str]:
    """Let runs happen side by side, and all come to rest; return what is wrong then."""
    chaos = {"seed": runs[0].random.randrange(2**31), **RATES}
    await _switch(running, "POST", chaos)
    async with asyncio.TaskGroup() as group:
        for run in runs:
            for reference in run.references:
                group.create_task(run.live(reference))
    await _switch(running, "DELETE")
    await running.quiet()
    count.update(await stripe.learn(running))
    found = await _wrong_rows(running, stripe)
    for run in runs:
        found += await run.wrong_bookings(stripe)
    return found


async def _switch(running: Running, method: str, chaos: Json | None = None) -> None:
    answer = await running.stripe.request(method, "/_sandbox/chaos", json=chaos)
    assert answer.is_success, answer.text


async def _wrong_rows(running: Running, stripe: Stripe) -> list[str]:
    living = stripe.living()
    made = {object["id"] for objects in living.values() for object in objects}
    async with running.db.acquire() as connection:
        found = await differences(connection, assemble().registry, living, stripe.announced & made)
        left = "not_before is not null or outcome = 'dead' or attempts > 0"
        rows = await connection.fetch(f"select id, error from stripe_events where {left}")
        found += [f"{row['id']} is not done: {row['error']}" for row in rows]
        stored = {row["id"] for row in await connection.fetch("select id from stripe_events")}
    return found + [f"{id} is not stored" for id in stripe.objects["event"] if id not in stored]


@dataclass
class Rough:
    """The bookings of one run; `name` is part of what they are called."""

    running: Running
    random: Random
    name: str

    @property
    def references(self) -> list[str]:
        return [f"{self.name}-{n}" for n in range(BOOKINGS)]

    async def live(self, reference: str) -> None:
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
            async with asyncio.TaskGroup() as meanwhile:
                for part in range(4):
                    meanwhile.create_task(self._refund(intent, 1_000 + part))
                meanwhile.create_task(self._answer_a_dispute(intent))

    async def _pay(self, opened: Json) -> str | None:
        """Return the PaymentIntent, once it is known."""
        card = self.random.choice(CARDS)
        if "session_id" not in opened:
            form = {"payment_method": card, "return_url": "https://shop.example/back"}
            await self._try("POST", f"/v1/payment_intents/{opened['id']}/confirm", **form)
            return str(opened["id"])
        path = f"/v1/payment_pages/{opened['session_id']}/confirm"
        form = {"payment_method": card, "expected_amount": opened["amount_cents"]}
        paid = await self._try("POST", path, **form)
        intent = (paid or {}).get("payment_intent")
        return str(intent["id"]) if intent else None

    async def _refund(self, intent: str, amount: int) -> None:
        await asyncio.sleep(self.random.random() * 0.05)
        await self._try("POST", "/v1/refunds", payment_intent=intent, amount=amount)

    async def _answer_a_dispute(self, intent: str) -> None:
        listed = await self._try("GET", f"/v1/disputes?payment_intent={intent}")
        for dispute in listed["data"] if listed else ():
            form = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
            await self._try("POST", f"/v1/disputes/{dispute['id']}", **form)

    async def _try(self, method: str, path: str, **form: Any) -> Json | None:
        """Ask as a page does: under one key, a few times. Whether it was done shows in the end."""
        headers = {"Idempotency-Key": uuid4().hex}
        for _ in range(TRIES):
            try:
                answer = await self.running.stripe.request(
                    method, path, data=form or None, headers=headers
                )
            except httpx2.TransportError:
                continue
            if answer.is_success:
                found: Json = answer.json()
                return found
            if answer.status_code in FINAL:
                return None
        return None

    async def wrong_bookings(self, stripe: Stripe) -> list[str]:
        found, living = [], stripe.living()
        for reference in self.references:
            booking = await self.running.ask("GET", f"/bookings/{reference}")
            wanted = expected_booking(booking, living, total=TOTAL, deposit=DEPOSIT)
            if (said := {name: booking[name] for name in wanted}) != wanted:
                found.append(f"{reference}: says {said}, Stripe {wanted}")
        return found
