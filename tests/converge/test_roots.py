"""Whatever is observed, in whatever order, the booking it concerns is recomputed."""

import asyncio
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from converge.observing import (
    connect,
    give,
    intent_at_stripe,
    paid_at_stripe,
    plan_at_stripe,
    priced_booking,
    refund_at_stripe,
    until_blocked,
)
from payments.sync import process
from payments.sync.apply import with_roots
from service.accounts import add, read
from world import World, together


async def test_a_refund_that_arrives_first_is_settled_by_its_payment(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    refund = await refund_at_stripe(world, intent, amount=4_000)
    await give(world, refund)
    assert (await world.booking(booking))["refunded_cents"] == 0
    await give(world, intent)
    settled = await world.booking(booking)
    assert (settled["paid_cents"], settled["refunded_cents"]) == (10_000, 4_000)


async def test_a_refund_and_its_payment_in_one_batch_are_settled_together(world: World) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await give(world, await refund_at_stripe(world, intent, amount=4_000), intent)
    settled = await world.booking(booking)
    assert (settled["paid_cents"], settled["refunded_cents"]) == (10_000, 4_000)


async def test_a_refund_beside_a_payment_that_is_being_written_is_not_overlooked(
    world: World,
) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    refund = await refund_at_stripe(world, intent, amount=4_000)
    holder = await connect(world)
    try:
        # The payment has computed the booking and waits for its row; the refund comes meanwhile.
        async with holder.transaction():
            await holder.execute("select from bookings where id = $1 for update", booking["id"])
            paying = asyncio.create_task(give(world, intent))
            await until_blocked(world, paying, waiting=1)
            refunding = asyncio.create_task(give(world, refund))
            await until_blocked(world, refunding, waiting=2)
        await asyncio.gather(paying, refunding)
    finally:
        await holder.close()
    settled = await world.booking(booking)
    assert (settled["paid_cents"], settled["refunded_cents"]) == (10_000, 4_000)


async def test_a_refund_beside_an_invoice_that_is_being_written_takes_its_credits(
    world: World,
) -> None:
    plan = await plan_at_stripe(world)
    link = {"stripe_customer_id": plan["customer"]}
    await world.ask("PUT", "/customers/u-1", link, role="admin")
    await add(world, 1)
    [event] = await world.events(type="invoice.paid")
    [payment] = await world.events(type="payment_intent.succeeded")
    await world.converge(
        e for e in await world.events() if e["data"]["object"]["object"] != "invoice"
    )
    invoice, intent = event["data"]["object"], payment["data"]["object"]
    refund = await refund_at_stripe(world, intent, amount=500)
    holder = await connect(world)
    try:
        # The invoice has computed its credits, and waits for the account; meanwhile the refund
        # comes.
        async with holder.transaction():
            await holder.execute("select from credit_accounts for update")
            granting = asyncio.create_task(give(world, invoice))
            await until_blocked(world, granting, waiting=1)
            refunding = asyncio.create_task(give(world, refund))
            await until_blocked(world, refunding, waiting=2)
        await asyncio.gather(granting, refunding)
    finally:
        await holder.close()
    assert (await read(world))["balance"] == 1 + 75


async def test_a_payment_that_changes_its_reference_is_taken_from_the_old_booking(
    world: World,
) -> None:
    wrong, right = await priced_booking(world), await priced_booking(world)
    intent = await paid_at_stripe(world, wrong)
    await give(world, intent)
    reference: dict[str, Any] = {"metadata[reference]": f"booking:{right['id']}"}
    corrected = await world.at_stripe("POST", f"/v1/payment_intents/{intent['id']}", **reference)
    ticket = await world.db.fetchval("select nextval('stripe.ticket')")
    await give(world, corrected, ticket=ticket)
    assert (await world.booking(right))["paid_cents"] == 10_000
    assert (await world.booking(wrong))["paid_cents"] == 0


async def test_a_payment_of_another_application_is_mirrored_and_changes_no_booking(
    world: World,
) -> None:
    booking = await priced_booking(world)
    intent = await intent_at_stripe(world, booking)
    foreign = intent | {"metadata": intent["metadata"] | {"app": "another"}}
    await give(world, foreign | {"status": "succeeded", "amount_received": 10_000})
    assert await world.db.fetchval("select status from stripe.payment_intents") == "succeeded"
    assert (await world.booking(booking))["paid_cents"] == 0


async def test_two_workers_finish_what_shares_many_roots_without_a_deadlock(world: World) -> None:
    bookings = [await priced_booking(world) for _ in range(12)]
    intents = [await paid_at_stripe(world, booking) for booking in bookings]
    refunds = [await refund_at_stripe(world, intent, amount=100) for intent in intents]
    objects = [*intents, *refunds]
    results = await together(
        *(
            give(world, *(objects[start::3] + objects[:start])[:: (-1) ** start])
            for start in range(1, 6)
        ),
        *(give(world, *objects[::-1]) for _ in range(3)),
    )
    assert results == [None] * 8
    for booking in bookings:
        settled = await world.booking(booking)
        assert (settled["paid_cents"], settled["refunded_cents"]) == (10_000, 100)


async def test_two_workers_drain_one_inbox_without_doing_anything_twice(world: World) -> None:
    bookings = [await priced_booking(world) for _ in range(6)]
    for booking in bookings:
        await refund_at_stripe(world, await paid_at_stripe(world, booking), amount=100)
    for event in (await world.events())[::-1]:
        assert (await world.deliver(event)).status_code == 200
    due = "select count(*) from stripe_events where lane = 0 and not_before is not null"
    waiting = await world.db.fetchval(due)
    done = await together(*(process.drain_payloads(world.ctx.sync) for _ in range(3)))
    assert sum(done) == waiting
    assert await world.db.fetchval(due) == 0
    for booking in bookings:
        settled = await world.booking(booking)
        assert (settled["paid_cents"], settled["refunded_cents"]) == (10_000, 100)


async def test_what_applies_goes_by_index_and_is_never_compiled(world: World) -> None:
    async def planned(tx: AsyncConnection, _: set[str]) -> Any:
        query = "select current_setting('enable_seqscan'), current_setting('jit')"
        return (await tx.execute(text(query))).one()

    assert tuple(await with_roots(world.ctx.db, planned)) == ("off", "off")
