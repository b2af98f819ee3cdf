"""Test clocks: time that stands still until it is moved, and what happens on the way."""

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer
from sandbox.subscribing import invoices, price, subscribe
from stripe_sandbox.testing import Bench


async def test_a_clock_arrives_with_what_fell_due_on_the_way(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench, interval="day"))
    clocks = bench.stripe.v1.test_helpers.test_clocks
    going = await clocks.advance_async(time_.id, {"frozen_time": time_.frozen_time + 3 * DAY})
    assert (going.status, going.frozen_time) == ("advancing", time_.frozen_time)
    with pytest.raises(stripe.InvalidRequestError, match="already advancing"):
        await clocks.advance_async(time_.id, {"frozen_time": time_.frozen_time + 4 * DAY})
    await bench.settle()
    there = await clocks.retrieve_async(time_.id)
    assert (there.status, there.frozen_time) == ("ready", time_.frozen_time + 3 * DAY)
    bills = await invoices(bench, sub)
    assert [(bill.created - time_.frozen_time) // DAY for bill in bills] == [0, 1, 2, 3]
    assert [bill.status for bill in bills] == ["paid", "paid", "paid", "draft"]
    happened = [event for event in await bench.events() if "test_clock" in event]
    assert happened == [f"test_helpers.test_clock.{e}" for e in ("created", "advancing", "ready")]


async def test_a_clock_never_goes_back(bench: Bench) -> None:
    time_ = await clock(bench)
    with pytest.raises(stripe.InvalidRequestError, match="must be after") as refused:
        await advance(bench, time_, to=time_.frozen_time)
    assert refused.value.param == "frozen_time"


async def test_only_what_lives_by_a_clock_moves_with_it(bench: Bench) -> None:
    time_, other = await clock(bench), await clock(bench, 1_700_000_000)
    daily = await price(bench, interval="day")
    mine = await subscribe(bench, await customer(bench, test_clock=time_.id), daily)
    theirs = await subscribe(bench, await customer(bench, test_clock=other.id), daily)
    real = await subscribe(bench, await customer(bench), daily)
    await advance(bench, time_, to=time_.frozen_time + 2 * DAY)
    counts = [len(await invoices(bench, sub)) for sub in (mine, theirs, real)]
    assert counts == [3, 1, 1]
    assert (mine.start_date, theirs.start_date) == (time_.frozen_time, other.frozen_time)
    listed = await bench.stripe.v1.subscriptions.list_async({"test_clock": time_.id})
    assert [found.id for found in listed.data] == [mine.id]


async def test_a_deleted_clock_takes_its_customers_along(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    sub = await subscribe(bench, ada, await price(bench))
    await bench.stripe.v1.test_helpers.test_clocks.delete_async(time_.id)
    assert (await bench.stripe.v1.customers.retrieve_async(ada.id)).deleted
    assert (await bench.stripe.v1.subscriptions.retrieve_async(sub.id)).status == "canceled"
    assert (await bench.events())[-3:] == [
        "customer.deleted",
        "customer.subscription.deleted",
        "test_helpers.test_clock.deleted",
    ]
    with pytest.raises(stripe.InvalidRequestError, match="No such test clock"):
        await bench.stripe.v1.test_helpers.test_clocks.retrieve_async(time_.id)
