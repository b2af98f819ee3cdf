"""One random run of the whole pipeline: payments, deliveries and workers that are cut short."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from converge.observing import priced_booking
from converge.oracle import differences, expected_booking
from payments.sync import process
from payments.sync.apply import Sync
from payments.sync.resources import Observed, Registry
from payments.sync.throttle import Throttle
from world import Json, World

TOTAL, DEPOSIT = 44_000, 10_000
WORKERS: Final = 4
BOOKINGS: Final = 3
CARDS: Final = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_usBankAccount",
    "pm_usBankAccount_insufficientFunds",
)
AGAIN: Final = (409, 502, 503, 504)
NAP: Final = 0.004


@dataclass
class Run:
    """`world` reaches Stripe over a slow network; `count` gathers figures over all runs."""

    world: World
    random: Random
    count: Counter[str]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def go(self) -> list[str]:
        """Let everything happen at once; return what is wrong in the end."""
        bookings = [
            await priced_booking(self.world, total=TOTAL, deposit=DEPOSIT) for _ in range(BOOKINGS)
        ]
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._restart(self._work))
            group.create_task(self._settle())
            delivering = group.create_task(self._deliver())
            async with asyncio.TaskGroup() as lives:
                for booking in bookings:
                    lives.create_task(self._live(booking))
            self.over.set()
            await delivering
        await self._rest()
        return await self._wrong(bookings)

    async def nap(self) -> None:
        await asyncio.sleep(self.random.random() * NAP)

    # -- what happens

    async def _live(self, booking: Json) -> None:
        form = self.random.choice(("create-checkout-session", "create-payment-intent"))
        purpose = self.random.choice(("deposit", "full"))
        wish = {"booking_id": booking["id"], "payment_type": purpose}
        opened = await self._insist(form, wish)
        async with asyncio.TaskGroup() as meanwhile:
            meanwhile.create_task(self._pay(opened))
            if self.random.random() < 0.5:
                meanwhile.create_task(self._try(form, wish | {"payment_type": "full"}))

    async def _pay(self, opened: Json) -> None:
        await self.nap()
        card = self.random.choice(CARDS)
        if "session_id" in opened:
            await self.world.pay(opened, card, status=None)
        else:
            await self.world.confirm(opened, card, status=None)
        await self.nap()
        paid = self.world.sandbox.sandbox.state.rows("payment_intent").values()
        async with asyncio.TaskGroup() as refunds:
            for intent in [intent for intent in paid if intent["status"] == "succeeded"]:
                for part in range(3):
                    refunds.create_task(self._refund(intent, 1_000 + part))

    async def _refund(self, intent: Json, amount: int) -> None:
        await self.nap()
        await self.world.at_stripe(
            "POST", "/v1/refunds", None, payment_intent=intent["id"], amount=amount
        )

    async def _settle(self) -> None:
        while not self.over.is_set():
            await asyncio.sleep(self.random.random() * 0.05)
            await self.world.settle()

    # -- callers that may be cut short, and come back

    async def _insist(self, form: str, wish: Json) -> Json:
        while True:
            answer = await self._cut_short(self._try(form, wish))
            if answer is not None and answer.status_code == 200:
                found: Json = answer.json()
                return found
            await self.nap()

    async def _try(self, form: str, wish: Json) -> Any:
        answer = await self.world.api.post(
            f"/api/v1/stripe/{form}", json=wish, headers=self.world.bearer("u-1", "service")
        )
        assert answer.status_code in (200, *AGAIN), answer.text
        return answer

    async def _cut_short(self, work: Coroutine[Any, Any, Any], odds: float = 0.3) -> Any:
        """Run to the end, or to a random moment: as far as a process came that was killed."""
        if self.random.random() >= odds:
            return await work
        task = asyncio.create_task(work)
        await asyncio.wait({task}, timeout=self.random.random() * 0.03)
        if not task.done():
            self.count["cut short"] += 1
            task.cancel()
        with suppress(asyncio.CancelledError):
            return await task
        return None

    async def _restart(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not self.over.is_set():
            await self._cut_short(work(), odds=0.5)

    # -- what the network and the workers do

    async def _deliver(self) -> None:
        """Everything at least once, a part of it again, in an order of its own."""
        sent = 0
        while True:
            over = self.over.is_set()
            events = list(self.world.sandbox.sandbox.state.rows("event").values())
            fresh, sent = events[sent:], len(events)
            fresh += [event for event in events if self.random.random() < 0.1]
            self.random.shuffle(fresh)
            answers = await asyncio.gather(*(self.world.deliver(event) for event in fresh))
            assert {answer.status_code for answer in answers} <= {200}
            self.count["deliveries"] += len(fresh)
            if over:
                return
            await asyncio.sleep(self.random.random() * 0.02)

    async def _work(self) -> None:
        sync, throttle = self._jittery(self.world.ctx.sync), Throttle(10_000)
        for _ in range(3):
            await process.drain_payloads(sync)
            await process.drain_fetches(sync, throttle)
            await self.nap()

    def _jittery(self, sync: Sync) -> Sync:
        """The same, with pauses where a race would strike: before the locks, and under them."""

        async def no_roots(_: AsyncConnection, __: Observed) -> set[str]:
            await self.nap()
            return set()

        async def settle_nothing(_: AsyncConnection, __: frozenset[str], ___: datetime) -> None:
            await self.nap()

        known = sync.registry
        registry = Registry(
            known.resources,
            roots=[*known.roots, no_roots],
            settles=[settle_nothing, *known.settles, settle_nothing],
        )
        return replace(sync, registry=registry)

    async def _rest(self) -> None:
        """What is left after the last cut: leases end, and one worker finishes alone."""
        await self.world.settle()
        await self._deliver()
        due = "update stripe_events set not_before = now() where not_before > now()"
        for _ in range(5):
            await self.world.db.execute(due)
            await self.world.work()

    # -- the verdict

    async def _wrong(self, bookings: list[Json]) -> list[str]:
        world, registry = self.world, self.world.ctx.sync.registry
        state = world.sandbox.sandbox.state
        stripe = {r.name: list(state.rows(r.name).values()) for r in registry.resources}
        happened = [event["data"]["object"] for event in state.rows("event").values()]
        announced = {object["id"] for object in happened if object["object"] in stripe}
        found = await differences(world.db, registry, stripe, announced)
        left = "select * from stripe_events where not_before is not null or attempts > 0"
        found += [f"{row['id']} is not done: {row['error']}" for row in await world.rows(left)]
        for booking in bookings:
            wanted = expected_booking(booking, stripe, total=TOTAL, deposit=DEPOSIT)
            shown = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
            if (said := {name: shown[name] for name in wanted}) != wanted:
                found.append(f"{booking['id']}: says {said}, Stripe {wanted}")
        self.count["events"] += len(happened)
        self.count["refunds"] += len(stripe["refund"])
        self.count["payments"] += sum(i["amount_received"] > 0 for i in stripe["payment_intent"])
        fetched = "select count(*) from stripe_events where lane = 1"
        self.count["fetched"] += await world.db.fetchval(fetched)
        return found
