"""A booking gets paid."""

from world import DEPOSIT, TOTAL, World


async def test_a_booking_is_confirmed_by_its_deposit_and_paid_by_its_balance(world: World) -> None:
    booking = await world.book()
    assert (booking["total_cents"], booking["deposit_cents"], booking["state"]) == (
        TOTAL,
        DEPOSIT,
        "pending",
    )

    await world.pay(await world.session(booking, payment_type="deposit"))
    await world.converge()
    confirmed = await world.booking(booking)
    assert (confirmed["paid_cents"], confirmed["due_cents"], confirmed["state"]) == (
        DEPOSIT,
        TOTAL - DEPOSIT,
        "confirmed",
    )

    await world.pay(await world.session(booking))
    await world.converge()
    paid = await world.booking(booking)
    assert (paid["paid_cents"], paid["due_cents"], paid["state"]) == (TOTAL, 0, "paid")
