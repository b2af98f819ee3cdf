"""Asking Stripe: every answer is an observation, whoever asked and why."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from payments.core.db import Database
from payments.core.errors import InFlight, Problem
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Answer, Client, WriteCall
from payments.sync.account import confirm
from payments.sync.apply import Observation, Sync, apply
from payments.sync.resources import TICKET, Resource

CLOCKS_DIFFER: Final = timedelta(hours=6)
"""Stripe's clock dates its objects, ours the reservations; nothing may be missed for that."""


async def ticket(db: Database) -> int:
    """A number for an answer, taken before the question, so that no earlier state can pass a later
    one by arriving late.
    """
    async with db.transaction() as tx:
        return int((await tx.execute(TICKET.next_value().select())).scalar_one())


async def look(sync: Sync, resource: Resource, id: str, *, gone: bool = False) -> Observation:
    """Fetch one object.

    Args:
        sync: what to ask with.
        resource: the kind of object.
        id: its id at Stripe.
        gone: an event said that it was deleted, so a 404 is an answer for any kind.

    Raises:
        StripeObjectMissing: a 404 for something that cannot be deleted.
        WrongAccount: a 404 to the key of another account, which says nothing.
    """
    number = await ticket(sync.db)
    try:
        answer = await sync.stripe.call(lambda c: resource.fetch(c, id))
    except StripeObjectMissing:
        await confirm(sync.db, sync.stripe, livemode=sync.livemode)
        if not (resource.deletable or gone):
            raise
        return Observation(resource, {"id": id, "deleted": True}, number)
    return Observation(resource, answer.object, number)


async def refresh(sync: Sync, resource: Resource, id: str) -> dict[str, Any]:
    """Fetch one object, apply it and return it as Stripe gave it."""
    seen = await look(sync, resource, id)
    await apply(sync, [seen])
    return dict(seen.object)


async def pages(sync: Sync, resource: Resource, **params: Any) -> AsyncIterator[list[Observation]]:
    """What Stripe lists, newest first, a page at a time; each page has a ticket of its own."""
    number = await ticket(sync.db)
    async for page in sync.stripe.pages(resource.list, **params):
        yield [Observation(resource, object, number) for object in page]
        number = await ticket(sync.db)


async def find(
    sync: Sync,
    resource: Resource,
    *,
    mark: tuple[str, str],
    since: datetime | None = None,
    **params: Any,
) -> dict[str, Any] | None:
    """An object that Stripe may or may not have made for us, found by listing (a search would lag).

    Args:
        sync: what to ask with.
        resource: the kind of object.
        mark: the metadata key and value that only the wanted object carries.
        since: when its creation was reserved, for lists that grow without end.
        **params: what else narrows the list.
    """
    key, value = mark
    if since is not None:
        params["created"] = {"gte": int((since - CLOCKS_DIFFER).timestamp())}
    async for page in pages(sync, resource, **params):
        for seen in page:
            if (seen.object.get("metadata") or {}).get(key) == value:
                await apply(sync, [seen])
                return dict(seen.object)
    return None


async def perform(
    sync: Sync, resource: Resource, request: Callable[[Client], Awaitable[Any]]
) -> dict[str, Any]:
    """Write to Stripe, apply the answer and return it. An answer that Stripe only replayed says how
    things were, and one that is not whole not all of it, so the object is fetched.
    """
    number = await ticket(sync.db)
    return await take(sync, resource, await sync.stripe.call(request), number)


async def take(sync: Sync, resource: Resource, answer: Answer, number: int) -> dict[str, Any]:
    """Apply the answer to a write, whose ticket was taken before it; the second half of `perform`,
    whose errors say nothing about the write.
    """
    if answer.replayed or not resource.whole(answer.object):
        return await refresh(sync, resource, str(answer.object["id"]))
    await apply(sync, [Observation(resource, answer.object, number)])
    return answer.object


async def converge(
    sync: Sync,
    resource: Resource,
    request: WriteCall,
    *,
    key: str,
    holds: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    """`perform` for a write that no row of ours stands for: its key says what is wanted.

    Args:
        sync: what to ask with.
        resource: the kind of object.
        request: the call that writes.
        key: the same for the same wish.
        holds: whether an object is as wished.
    """

    async def still(answer: Answer) -> bool:
        return holds(await refresh(sync, resource, str(answer.object["id"])))

    number = await ticket(sync.db)
    return await take(
        sync, resource, await sync.stripe.insist(request, key=key, still=still), number
    )


async def create(
    sync: Sync,
    resource: Resource,
    request: Callable[[Client], Awaitable[Any]],
    *,
    left: Callable[[], Awaitable[dict[str, Any] | None]],
    over: Callable[[], Awaitable[None]],
) -> dict[str, Any]:
    """`perform` for a reserved creation. Stripe replays an error that it has answered to the same
    key for a day, whether or not it made the object: so what it left is adopted, else the
    reservation is over and the next try has a key of its own.

    Args:
        sync: what to ask with.
        resource: the kind of object.
        request: the creating call.
        left: finds what the call has made after all.
        over: ends the reservation.
    """
    try:
        return await perform(sync, resource, request)
    except Problem as exc:
        if not exc.answered or isinstance(exc, InFlight):
            raise
        if (found := await left()) is None:
            await over()
            raise
        return found
