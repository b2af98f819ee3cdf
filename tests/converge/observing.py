"""What these tests share: objects as Stripe has them, given to the one writer by hand."""

import asyncio
from typing import Any

import asyncpg

from payments.sync.apply import Observation, apply
from payments.sync.observe import ticket
from payments.sync.resources import Resource
from world import Json, World

FORM = {"currency": "usd", "metadata[app]": "payments"}


def resource(world: World, name: str) -> Resource:
    return world.ctx.sync.registry.by_name[name]


async def take_ticket(world: World) -> int:
    return await ticket(world.ctx.db)


async def give(world: World, *objects: Json, ticket: int | None = None) -> None:
    """Let the service observe objects, in one batch: as payloads of events, or with a ticket as
    answers of Stripe's.
    """
    seen = [Observation(resource(world, object["object"]), object, ticket) for object in objects]
    await apply(world.ctx.sync, seen)


async def row(world: World, object: Json) -> Any:
    """The mirror's row of an object, None where there is none."""
    table = resource(world, object["object"]).relation
    return await world.db.fetchrow(f"select * from {table} where id = $1", object["id"])


async def wished(world: World) -> set[str]:
    """The objects that wait to be fetched."""
    query = "select object_id from stripe_events where lane = 1 and not_before is not null"
    return {found["object_id"] for found in await world.rows(query)}


async def priced_booking(world: World, *, total: int = 44_000, deposit: int = 10_000) -> Json:
    """A booking with a price of its own, so that no catalogue is needed."""
    price = {"total_cents": total, "deposit_cents": deposit, "user_id": "u-1"}
    return await world.ask("POST", "/bookings", price, status=201, role="service")


async def intent_at_stripe(
    world: World, booking: Json, *, amount: int = 10_000, type: str = "deposit", **form: Any
) -> Json:
    """A PaymentIntent that somebody made for a booking at Stripe itself."""
    meant = {
        "metadata[reference]": f"booking:{booking['id']}",
        "metadata[booking_id]": booking["id"],
        "metadata[payment_type]": type,
    }
    return await world.at_stripe(
        "POST", "/v1/payment_intents", **{**FORM, **meant, "amount": amount, **form}
    )


async def paid_at_stripe(world: World, booking: Json, card: str = "pm_card_visa") -> Json:
    return await world.confirm(await intent_at_stripe(world, booking), card)


async def refund_at_stripe(world: World, intent: Json, **form: Any) -> Json:
    return await world.at_stripe("POST", "/v1/refunds", payment_intent=intent["id"], **form)


async def plan_at_stripe(world: World, clock: str | None = None, **form: Any) -> Json:
    """A subscription to a monthly plan that brings credits, made in the dashboard for a customer
    with a card.
    """
    who: Json = {"payment_method": "pm_card_visa"}
    who["invoice_settings[default_payment_method]"] = "pm_card_visa"
    who |= {"test_clock": clock} if clock else {}
    customer = await world.at_stripe("POST", "/v1/customers", **who)
    cost: Json = {"currency": "usd", "unit_amount": 2_000, "recurring[interval]": "month"}
    cost |= {"product_data[name]": "Pro", "product_data[metadata][credit_amount]": "100"}
    price = await world.at_stripe("POST", "/v1/prices", **cost)
    form |= {"customer": customer["id"], "items[0][price]": price["id"]}
    return await world.at_stripe("POST", "/v1/subscriptions", **form)


async def connect(world: World) -> asyncpg.Connection:
    """A session beside the service's own."""
    assert world.settings.database_url is not None
    return await asyncpg.connect(world.settings.database_url.get_secret_value())


async def until_blocked(world: World, *tasks: asyncio.Task[Any], waiting: int) -> None:
    """Wait until so many sessions of this database wait for a lock, or the tasks are done."""
    query = (
        "select count(*) from pg_stat_activity "
        "where datname = current_database() and wait_event_type = 'Lock'"
    )
    while not all(task.done() for task in tasks) and await world.db.fetchval(query) < waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
