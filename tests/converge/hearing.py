"""Hearing of what happens at Stripe: late, doubled, in any order, replayed, with looks between."""

from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

import orjson

from converge.histories import DEPOSIT, TOTAL, History, Moment, tell
from converge.oracle import (
    differences,
    expected_booking,
    expected_credits,
    expected_payment,
    payments_of,
)
from payments.stripe_api.service import Delivery
from payments.sync import inbox, process
from payments.sync.apply import Observation, apply
from payments.sync.observe import look
from payments.sync.replay import Replay, replay
from payments.sync.selection import Selection
from payments.sync.sorting import sort_in
from payments.sync.throttle import Throttle
from world import Database, Json, World, together

KEPT: Final = ("bookings", "open_payables", "customer_links")
"""Ours, and there before anything is heard."""

CREDITS: Final = """
    select source, target, expires_at, user_id from credit_lots
    union all select source, credits, expires_at, customer from waiting_grants
"""
"""What causes have granted and still stand for, and to whom."""

LIVING: Final = (
    "payment_intent", "refund", "dispute", "checkout.session", "subscription", "invoice",
    "invoice_payment",
)  # fmt: skip
"""Kinds of objects that change while a history goes on."""

FAST: Final = Throttle(100_000)

Said = Mapping[tuple[str, str], str]
"""What the service says, as JSON by table and id."""


@dataclass
class Progress:
    """How far Stripe has come with one history."""

    ahead: list[Moment]
    living: list[Json] = field(default_factory=list)


class Hearing:
    """Some histories under way: Stripe has come to a moment of each, and a part of that is known.

    Attributes:
        happened: events that Stripe has made, and `unheard` those of them never delivered.
        answers: what Stripe was asked and has answered, still on its way to us.
    """

    def __init__(self, world: World, histories: Sequence[History], random: Random) -> None:
        self.world = world
        self.random = random
        self.happened: list[Json] = []
        self.unheard: list[Json] = []
        self.answers: list[Observation] = []
        self._progress = [Progress(list(history.moments)) for history in histories]
        for progress in self._progress:
            self._reach(progress)

    # -- what may happen next

    async def go_on(self) -> None:
        """Stripe comes to the next moment of one history."""
        if unfinished := self._unfinished():
            self._reach(self.random.choice(unfinished))

    async def deliver(self) -> None:
        """Some of what has happened, in any order, whether or not it was delivered before."""
        await self._store(self.random.choices(self.happened, k=self.random.randint(1, 8)))

    async def ask(self) -> None:
        """Stripe answers as things are now; the answer may be long on its way."""
        sync = self.world.ctx.sync
        if living := [object for progress in self._unfinished() for object in progress.living]:
            asked = self.random.choice(living)
            resource = sync.registry.by_name[asked["object"]]
            self.answers.append(await look(sync, resource, asked["id"]))

    async def hear(self) -> None:
        if self.answers:
            place = self.random.randrange(len(self.answers))
            await apply(self.world.ctx.sync, [self.answers.pop(place)])

    async def replay(self) -> None:
        """What was received is applied once more: one object's, or everything."""
        one = {"object_id": [self.random.choice(self.happened)["data"]["object"]["id"]]}
        chosen = Selection.model_validate(self.random.choice((one, {"type": ["*"]})))
        wish = Replay(who=None, selection=chosen, dry_run=False, throttle=FAST)
        await replay(self.world.ctx.sync, wish)

    async def apply_payloads(self) -> None:
        await process.drain_payloads(self.world.ctx.sync)

    async def apply_fetches(self) -> None:
        await process.drain_fetches(self.world.ctx.sync, FAST)

    async def work_at_once(self) -> None:
        sync = self.world.ctx.sync
        results = await together(
            process.drain_payloads(sync), process.drain_fetches(sync, FAST), self.hear(),
            process.drain_payloads(sync),
        )  # fmt: skip
        assert not [result for result in results if isinstance(result, BaseException)]

    # -- the end

    async def hear_all(self) -> None:
        """Everything happens, and is delivered in the end, in batches of any size."""
        while self._unfinished():
            await self.go_on()
        self.random.shuffle(self.unheard)
        while self.unheard:
            await self._store(self.unheard[: self.random.randint(1, len(self.unheard))])
            await self.random.choice((self.apply_payloads, self.apply_fetches, self.hear))()
        if self.answers:
            await work(self.world)
        while self.answers:
            await self.hear()
        await work(self.world)

    def _unfinished(self) -> list[Progress]:
        return [progress for progress in self._progress if progress.ahead]

    def _reach(self, progress: Progress) -> None:
        moment = progress.ahead.pop(0)
        for (kind, id), row in moment.objects.items():
            self.world.sandbox.sandbox.state.put(kind, id, dict(row))
        followed = self.world.ctx.sync.registry.by_event
        objects = [e["data"]["object"] for e in moment.events if e["type"] in followed]
        progress.living += [object for object in objects if object["object"] in LIVING]
        self.happened += moment.events
        self.unheard += moment.events

    async def hear_in_order(self) -> None:
        """What has happened by now, in the order in which it did."""
        await self._store(self.unheard)
        await work(self.world)

    async def _store(self, events: Sequence[Json]) -> None:
        await store(self.world, events)
        delivered = {event["id"] for event in events}
        self.unheard = [event for event in self.unheard if event["id"] not in delivered]


Move = Callable[[Hearing], Awaitable[None]]

MOVES: Final[tuple[Move, ...]] = (
    Hearing.deliver,
    Hearing.deliver,
    Hearing.ask,
    Hearing.ask,
    Hearing.ask,
    Hearing.hear,
    Hearing.apply_payloads,
    Hearing.apply_fetches,
    Hearing.work_at_once,
    Hearing.replay,
)


async def store(world: World, events: Iterable[Json]) -> None:
    sync = world.ctx.sync
    deliveries = [Delivery(event=event, body=orjson.dumps(event)) for event in events]
    rows = [sort_in(new, sync.registry, livemode=sync.livemode) for new in deliveries]
    async with sync.db.transaction() as tx:
        await inbox.store(tx, rows)


async def work(world: World) -> None:
    """Until nothing is due."""
    while True:
        done = await process.drain_payloads(world.ctx.sync)
        if not done + await process.drain_fetches(world.ctx.sync, FAST):
            return


# -- what has to be true in the end


async def wrong(world: World, history: History) -> list[str]:
    """Where the service says something else than follows from what Stripe has in the end."""
    registry, booking = world.ctx.sync.registry, history.booking
    stripe: dict[str, list[Json]] = {resource.name: [] for resource in registry.resources}
    stripe |= history.ending
    followed = [event for event in history.events if event["type"] in registry.by_event]
    announced = {event["data"]["object"]["id"] for event in followed}
    found = await differences(world.db, registry, stripe, announced)
    shown = await world.ask("GET", f"/bookings/{booking['id']}", role="service")
    path = f"/stripe/payments?limit=100&booking_id={booking['id']}"
    listed = (await world.ask("GET", path, role="service"))["data"]
    payments = [expected_payment(intent, stripe) for intent in payments_of(booking, stripe)]
    pairs = [(shown, expected_booking(booking, stripe, total=TOTAL, deposit=DEPOSIT))]
    pairs += zip(listed, sorted(payments, key=lambda p: p["id"]), strict=True)
    if (granted := await credits(world)) != (due := expected_credits(stripe)):
        found.append(f"{granted} for {due}")
    found += [
        f"{seen} for {wanted}" for seen, wanted in pairs if not wanted.items() <= seen.items()
    ]
    return found


async def credits(world: World) -> dict[str, tuple[int, int]]:
    """By cause, the credits that are there or wait, and the second at which they end."""
    rows = await world.db.fetch(CREDITS)
    return {row[0]: (row[1], int(row[2].timestamp())) for row in rows}


async def said(world: World) -> Said:
    """All that is mirrored and made of it, but for when and how often a row was looked at; and
    whatever of the inbox is not done.
    """
    mirrors = [resource.relation for resource in world.ctx.sync.registry.resources]
    parts = [
        f"select '{name}', id, (to_jsonb(t) - 'ticket' - 'updated_at')::text from {name} t"
        for name in (*mirrors, "bookings", "payments", "refunds")
    ]
    parts.append(f"select 'credits', source, to_jsonb(c)::text from ({CREDITS}) c")
    parts.append(
        "select 'undone', id, error from stripe_events "
        "where not_before is not null or outcome = 'dead' or attempts > 0"
    )
    return {(table, id): row for table, id, row in await world.db.fetch(" union all ".join(parts))}


# -- one after the other over the same histories


class Stage:
    """Where histories are heard again and again, each time from the beginning."""

    # No dataclass: all of Stripe would be printed with each example that fails.
    def __init__(self, world: World, database: Database, histories: Sequence[History]) -> None:
        self.world = world
        self.database = database
        self.histories = histories
        self.untouched: Said = {}  # what the service says before it has heard of anything
        self.endings: list[Said] = []  # for each history, what changes once all of it is known

    @classmethod
    async def open(cls, world: World, database: Database) -> Self:
        """Tell the histories, and hear of each once, just as it happens."""
        stage = cls(world, database, await tell(world))
        await database.keep(*KEPT)
        for history in stage.histories:
            hearing = await stage.begin([history], Random(0))
            stage.untouched = await said(world)
            while hearing.unheard:
                await hearing.hear_in_order()
                await hearing.go_on()
            assert await wrong(world, history) == []
            ending = await said(world)
            changed = {key for key in ending if ending[key] != stage.untouched.get(key)}
            stage.endings.append({key: ending[key] for key in changed})
        return stage

    async def begin(self, histories: Sequence[History], random: Random) -> Hearing:
        await self.database.empty()
        await self.database.bring_back(*KEPT)
        self.world.sandbox.sandbox.state._tables.clear()
        return Hearing(self.world, histories, random)

    async def check(self, chosen: Sequence[int]) -> None:
        """The service says of these histories what it says of each by itself, and no more."""
        wanted = dict(ChainMap(*(dict(self.endings[n]) for n in chosen), dict(self.untouched)))
        assert await said(self.world) == wanted
