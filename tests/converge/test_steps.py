"""The order of steps: a ticket before its question, every lock before what is read or written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg
import httpx2
import pytest
from sqlalchemy import event

from converge.networks import Network, reached_by
from converge.observing import (
    connect,
    give,
    paid_at_stripe,
    priced_booking,
    refund_at_stripe,
    resource,
    until_blocked,
)
from payments.stripe_api.service import options
from payments.sync import observe
from payments.sync.apply import LOCKS, Sync
from payments.sync.resources import Resource
from world import Json, World

WAITING = "(select pid from pg_locks where not granted and locktype = 'advisory')"
WRITING = f"""
    select relation::regclass::text from pg_locks
    where pid in {WAITING} and locktype = 'relation' and mode = 'RowExclusiveLock'
"""


@asynccontextmanager
async def holding(world: World, root: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of another process that is at work on a root; its transaction."""
    holder = await connect(world)
    try:
        async with holder.transaction():
            query = f"select pg_advisory_xact_lock({LOCKS}, hashtext($1) & 1023)"
            await holder.execute(query, root)
            yield holder
    finally:
        await holder.close()


@contextmanager
def noting(world: World, said: list[str]) -> Iterator[None]:
    """Note what the service says to its database meanwhile."""

    def listen(*arguments: Any) -> None:
        said.append(arguments[2])

    engine = world.ctx.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", listen)


async def roots_of(world: World, objects: Sequence[Json]) -> set[str]:
    observed: dict[str, list[Json]] = {}
    for object in objects:
        observed.setdefault(resource(world, object["object"]).name, []).append(object)
    async with world.ctx.db.transaction() as tx:
        found = [await roots(tx, observed) for roots in world.ctx.sync.registry.roots]
    return set().union(*found)


async def batch_of_all_domains(world: World) -> list[Json]:
    """Two payments, one disputed and one refunded in part, of two bookings."""
    first, second = [await priced_booking(world) for _ in range(2)]
    refunded = await paid_at_stripe(world, first)
    disputed = await paid_at_stripe(world, second, "pm_card_createDispute")
    refund = await refund_at_stripe(world, refunded, amount=1_000)
    await world.settle()
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    return [refunded, disputed, refund, dispute]


async def test_nothing_is_written_before_every_root_of_the_batch_is_locked(world: World) -> None:
    objects = await batch_of_all_domains(world)
    roots = await roots_of(world, objects)
    assert {root.partition(":")[0] for root in roots} == {"booking", "payment_intent"}
    for root in sorted(roots):
        ticket = await world.db.fetchval("select nextval('stripe.ticket')")
        async with holding(world, root):
            giving = asyncio.create_task(give(world, *objects, ticket=ticket))
            await until_blocked(world, giving, waiting=1)
            assert not giving.done(), f"{root} was not locked"
            assert [row[0] for row in await world.rows(WRITING)] == []
        await giving


async def test_all_roots_of_a_batch_are_locked_by_one_statement(world: World) -> None:
    objects = await batch_of_all_domains(world)
    await give(world, *objects)
    said: list[str] = []
    with noting(world, said):
        await give(world, *objects)
    locking = [n for n, statement in enumerate(said) if "pg_advisory" in statement]
    writing = [n for n, statement in enumerate(said) if "insert into stripe." in statement]
    assert len(locking) == 1
    assert locking[0] < min(writing)


async def test_what_another_has_written_under_the_lock_is_read_after_it(world: World) -> None:
    booking = await priced_booking(world)
    first, second = [await paid_at_stripe(world, booking) for _ in range(2)]
    await give(world, second)
    mine = "from stripe.payment_intents where id = $1"
    theirs = await world.db.fetchrow(f"select * {mine}", second["id"])
    await world.db.execute(f"delete {mine}", second["id"])
    async with holding(world, f"booking:{booking['id']}") as holder:
        giving = asyncio.create_task(give(world, first))
        await until_blocked(world, giving, waiting=1)
        places = ", ".join(f"${n + 1}" for n in range(len(theirs)))
        columns = ", ".join(theirs.keys())
        await holder.execute(
            f"insert into stripe.payment_intents ({columns}) values ({places})", *theirs.values()
        )
    await giving
    assert (await world.booking(booking))["paid_cents"] == 20_000


# -- tickets

KEY: Final = options("customer:of this test")


async def look(sync: Sync, kind: Resource, id: str) -> None:
    await observe.look(sync, kind, id)


async def pages(sync: Sync, kind: Resource, _: str) -> None:
    assert [len(page) async for page in observe.pages(sync, kind, limit=1)] == [1, 1]


async def perform(sync: Sync, kind: Resource, _: str) -> None:
    await observe.perform(sync, kind, lambda c: c.v1.customers.create_async({"name": "Ann"}, KEY))


async def converge(sync: Sync, kind: Resource, id: str) -> None:
    await observe.converge(
        sync,
        kind,
        lambda c, options: c.v1.customers.update_async(id, {"name": "Ann"}, options),
        key="customer:named",
        holds=lambda customer: customer["name"] == "Ann",
    )


class Watched(Network):
    """Notes each question that is sent."""

    def __init__(self, app: httpx2.ASGITransport, said: list[str]) -> None:
        super().__init__(app)
        self._said = said

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._said.append("question")
        return await super().handle_async_request(request)


@pytest.mark.parametrize("ask", [look, pages, perform, converge])
async def test_every_question_has_a_ticket_that_was_taken_before_it(
    world: World, ask: Callable[[Sync, Resource, str], Awaitable[None]]
) -> None:
    ann, _ = [await world.at_stripe("POST", "/v1/customers", name=name) for name in ("Ann", "Bo")]
    said: list[str] = []
    async with reached_by(world, lambda app: Watched(app, said)) as watched:
        said.clear()  # Stripe was asked for its account
        with noting(watched, said):
            await ask(watched.ctx.sync, resource(world, "customer"), ann["id"])
    steps = ["ticket" if "nextval" in statement else statement for statement in said]
    asking = [step for step in steps if step in ("ticket", "question")]
    before = [asking[n - 1 : n] for n, step in enumerate(asking) if step == "question"]
    assert before
    assert all(step == ["ticket"] for step in before)
