"""A subscription's life on a test clock, month by month and cent by cent."""

from datetime import UTC, datetime

import stripe

from sandbox.billing import advance, clock, customer
from sandbox.subscribing import change, invoices, latest, now, period, price, subscribe
from stripe_sandbox.testing import Bench


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class Life:
    """A customer on a clock, with one subscription."""

    def __init__(self, bench: Bench, time_: stripe.test_helpers.TestClock) -> None:
        self.bench = bench
        self.time = time_
        self.subscription: stripe.Subscription

    async def until(self, moment: str) -> stripe.Subscription:
        await advance(self.bench, self.time, to=at(moment))
        self.subscription = await now(self.bench, self.subscription)
        return self.subscription


async def test_fourteen_months(bench: Bench) -> None:
    life = Life(bench, await clock(bench, at("2027-01-15T08:00")))
    ada = await customer(bench, test_clock=life.time.id)
    silver, gold = await price(bench, 1_000, "Silver"), await price(bench, 2_000, "Gold")
    life.subscription = await subscribe(bench, ada, silver, trial_period_days=14)
    await _trial(life)
    await _upgrade(life, gold)
    await _coupon(life)
    await _dunning(life)
    await _end(life)
    bills = await invoices(bench, life.subscription)
    assert [bill.amount_paid for bill in bills] == [
        *(0, 1_000, 1_000, 2_500, 1_500, 2_000),
        *[2_000] * 8,
    ]
    starts = [datetime.fromtimestamp(bill.created, UTC) for bill in bills]
    assert [(start.month, start.day) for start in starts] == [
        *((1, 15), (1, 29), (2, 28), (3, 29), (4, 29), (5, 29), (6, 29), (7, 29)),
        *((8, 29), (9, 29), (10, 29), (11, 29), (12, 29), (1, 29)),
    ]


async def _trial(life: Life) -> None:
    sub = life.subscription
    assert (sub.status, latest(sub).amount_paid) == ("trialing", 0)
    assert latest(sub).lines.data[0].description == "Trial period for Silver"
    assert period(sub) == (at("2027-01-15T08:00"), at("2027-01-29T08:00"))
    await life.until("2027-01-26T09:00")
    assert (await life.bench.events())[-2:] == [
        "customer.subscription.trial_will_end",
        "test_helpers.test_clock.ready",
    ]
    sub = await life.until("2027-01-29T08:30")
    assert (sub.status, latest(sub).status) == ("active", "draft")
    assert period(sub) == (at("2027-01-29T08:00"), at("2027-02-28T08:00"))
    assert latest(await life.until("2027-01-29T10:00")).amount_paid == 1_000


async def _upgrade(life: Life, gold: str) -> None:
    """In the middle of 29 days."""
    (item,) = (await life.until("2027-03-14T20:00")).items.data
    items = [{"id": item.id, "price": gold}]
    sub = life.subscription = await change(life.bench, life.subscription, items=items)
    assert (latest(sub).amount_paid, sub.items.data[0].price.id) == (1_000, gold)
    pending = await life.bench.stripe.v1.invoice_items.list_async({"pending": True})
    assert [(line.amount, line.description) for line in pending.data] == [
        (-500, "Unused time on Silver after 14 Mar 2027"),
        (1_000, "Remaining time on Gold after 14 Mar 2027"),
    ]
    renewed = latest(await life.until("2027-03-29T10:00"))
    assert [line.amount for line in renewed.lines.data] == [-500, 1_000, 2_000]
    assert (renewed.billing_reason, renewed.amount_paid) == ("subscription_cycle", 2_500)


async def _coupon(life: Life) -> None:
    coupons = life.bench.stripe.v1.coupons
    coupon = await coupons.create_async({"percent_off": 25, "duration": "once"})
    await change(life.bench, life.subscription, discounts=[{"coupon": coupon.id}])
    sub = await life.until("2027-04-29T10:00")
    assert (latest(sub).subtotal, latest(sub).amount_paid, sub.discounts) == (2_000, 1_500, [])


async def _dunning(life: Life) -> None:
    broken = await life.bench.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(life.subscription.customer)}
    )
    await change(life.bench, life.subscription, default_payment_method=broken.id)
    sub = await life.until("2027-05-29T10:00")
    failed = latest(sub)
    assert (sub.status, failed.status, failed.attempt_count) == ("past_due", "open", 1)
    assert failed.next_payment_attempt == at("2027-06-01T09:00")
    assert latest(await life.until("2027-06-01T10:00")).attempt_count == 2
    await change(life.bench, life.subscription, default_payment_method="")
    sub = await life.until("2027-06-03T10:00")
    assert (sub.status, latest(sub).status, latest(sub).amount_paid) == ("active", "paid", 2_000)


async def _end(life: Life) -> None:
    await life.until("2028-02-10T08:00")
    sub = await change(life.bench, life.subscription, cancel_at_period_end=True)
    assert (sub.status, sub.cancel_at) == ("active", at("2028-02-29T08:00"))
    sub = await life.until("2028-03-15T08:00")
    assert (sub.status, sub.ended_at) == ("canceled", at("2028-02-29T08:00"))
    assert sub.cancellation_details
    assert sub.cancellation_details.reason == "cancellation_requested"
