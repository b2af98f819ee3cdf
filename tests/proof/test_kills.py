"""kill -9 of the API, the worker and PostgreSQL in turn, for a minute under load."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from time import monotonic
from typing import Any

import httpx2
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments.dev.postgres import EmbeddedPostgres
from proof.customers import AT_ONCE, USERS, Customers, stripes_objects, wrong
from proof.running import Running, running
from service.variants import listening

pytestmark = pytest.mark.proof

SECONDS, ROUNDS = 60, 3
"""How long, and how often each at least: on a busy machine all takes longer."""
VICTIMS = ("worker", "api", "postgresql")


class Wire:
    """Between Stripe and the API: it knows what was acknowledged, and repeats some of it."""

    def __init__(self, choice: Random) -> None:
        self.random = choice
        self.target: httpx2.AsyncClient | None = None
        self.acknowledged: set[str] = set()
        self.unacknowledged: Counter[str] = Counter()
        self.repeated = 0
        self.answers: set[int] = set()
        self.app = Starlette(routes=[Route("/", self.carry, methods=["POST"])])

    async def carry(self, request: Request) -> Response:
        body = await request.body()
        id, signature = orjson.loads(body)["id"], request.headers["Stripe-Signature"]
        if not await self._post(body, signature):
            self.unacknowledged[id] += 1
            return Response(status_code=503)
        self.acknowledged.add(id)
        if self.random.random() < 0.1:
            self.repeated += 1
            await self._post(body, signature)
        return Response()

    async def _post(self, body: bytes, signature: str) -> bool:
        assert self.target is not None
        try:
            answer = await self.target.post(
                "/api/v1/stripe/webhook", content=body, headers={"Stripe-Signature": signature}
            )
        except httpx2.TransportError:
            return False
        self.answers.add(answer.status_code)
        return answer.is_success


async def test_a_minute_of_kills_loses_no_event_and_applies_none_twice(
    say: Callable[[str], None],
) -> None:
    seed, started = random.randrange(10**6), monotonic()
    choice = Random(seed)
    wire = Wire(choice)
    async with listening(wire.app) as url, running(webhook=f"{url}/") as found:
        wire.target = found.api
        await count_what_is_applied(found)
        kills, bookings = await kill_in_turn(found, Customers(found, choice))
        await found.quiet()
        stripe = await stripes_objects(found)
        errors = await wrong(found, stripe, bookings) + await miscounted(found, wire)
        assert [name for name, part in found.parts.items() if not part.alive] == []
        applied = await found.db.fetchval("select count(*) from applied")
    if (made := len(stripe["customer"])) != USERS:
        errors.append(f"{made} customers were made for {USERS} users")
    paid = sum(intent["status"] == "succeeded" for intent in stripe["payment_intent"])
    say(
        f"{kills.total()} kills ({', '.join(f'{n} of {name}' for name, n in kills.items())}), "
        f"seed {seed}: {bookings} bookings, {paid} payments, {len(stripe['refund'])} refunds; "
        f"{len(wire.acknowledged)} events acknowledged, {wire.unacknowledged.total()} deliveries "
        f"of {len(wire.unacknowledged)} not and repeated by Stripe, {wire.repeated} repeated by "
        f"the wire, {applied} events applied; {len(errors)} wrong, {monotonic() - started:.0f} s"
    )
    assert errors == []
    assert wire.answers <= {200, 503}


async def kill_in_turn(found: Running, customers: Customers) -> tuple[Counter[str], int]:
    """Each kill falls into payments under way, at a random moment of theirs. Between two of them
    all is up for twice as long as something was down, or Stripe's retries would grow to hours.
    """
    over, numbers, kills = asyncio.Event(), count(), Counter[str]()
    end = monotonic() + SECONDS

    async def shop() -> None:
        while not over.is_set():
            await customers.pay(next(numbers))

    async with asyncio.TaskGroup() as shopping:
        for _ in range(AT_ONCE):
            shopping.create_task(shop())
        while monotonic() < end or kills.total() < ROUNDS * len(VICTIMS):
            victim = VICTIMS[kills.total() % len(VICTIMS)]
            await asyncio.sleep(customers.random.random() * 1.5)
            began = monotonic()
            await kill(found, victim)
            kills[victim] += 1
            await asyncio.sleep(2 * (monotonic() - began))
        over.set()
    return kills, next(numbers)


async def kill(found: Running, victim: str) -> None:
    """Kill one and start it again."""
    if victim == "postgresql":
        os.kill(found.postmaster, signal.SIGKILL)
        await found.server.ended()
        # Another user of the same folder starts the server that the first has lost.
        await found.held.enter_async_context(EmbeddedPostgres(found.folder))
        return
    part = found.parts[victim]
    await part.kill()
    await part.start()
    await part.ready()


async def count_what_is_applied(found: Running) -> None:
    """Each time that an event is done is a row, committed with it or not at all."""
    await found.db.execute(
        """
        create table applied (id text);
        create function note_applied() returns trigger language plpgsql as $$
        begin insert into applied values (new.id); return null; end $$;
        create trigger applied after update on stripe_events for each row
        when (old.done_at is null and new.done_at is not null and new.body is not null)
        execute function note_applied();
        """
    )


async def miscounted(found: Running, wire: Wire) -> list[str]:
    """Events that were acknowledged and are not done, or were done more than once; and those that
    came to nobody.
    """
    rows: list[Any] = await found.db.fetch(
        "select e.id, e.outcome, count(a.id) as times from stripe_events e "
        "left join applied a using (id) where e.body is not null group by e.id, e.outcome"
    )
    times = {row["id"]: (row["outcome"], row["times"]) for row in rows}
    done = (("applied", 1), ("ignored", 0))
    sent = {event["id"] for event in await found.every("events")}
    return [
        *(f"{id}: {times.get(id)}" for id in wire.acknowledged if times.get(id) not in done),
        *(f"{id} was never acknowledged" for id in sent - wire.acknowledged),
        *(f"{id} was given up" for id in wire.unacknowledged.keys() - wire.acknowledged),
    ]
