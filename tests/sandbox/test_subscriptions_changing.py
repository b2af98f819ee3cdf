"""Changes of subscriptions: proration to the cent, cycles, trials, pauses, previews."""

from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer
from sandbox.subscribing import change, invoices, latest, now, period, price, subscribe
from stripe_sandbox.testing import Bench

JANUARY = 1_798_761_600  # the 1st of 2027, so that a month has 31 days


class Shop:
    """A customer on a clock with a subscription of $31 a month: a dollar a day."""

    def __init__(self, bench: Bench, time_: Any, subscription: stripe.Subscription) -> None:
        self.bench = bench
        self.time = time_
        self.subscription = subscription

    @classmethod
    async def open(cls, bench: Bench, **params: Any) -> "Shop":
        time_ = await clock(bench, JANUARY)
        ada = await customer(bench, test_clock=time_.id)
        gold = await price(bench, 3_100)
        return cls(bench, time_, await subscribe(bench, ada, gold, **params))

    async def day(self, day: int, hour: int = 0) -> stripe.Subscription:
        """The first of January is day 1."""
        await advance(self.bench, self.time, to=JANUARY + (day - 1) * DAY + hour * 3600)
        self.subscription = await now(self.bench, self.subscription)
        return self.subscription

    async def change(self, **params: Any) -> stripe.Subscription:
        self.subscription = await change(self.bench, self.subscription, **params)
        return self.subscription

    async def swap(self, new: str, **params: Any) -> stripe.Subscription:
        item = self.subscription.items.data[0]
        return await self.change(items=[{"id": item.id, "price": new}], **params)

    async def pending(self) -> list[int]:
        page = await self.bench.stripe.v1.invoice_items.list_async({"pending": True})
        return [item.amount for item in page.data]

    async def balance(self) -> int | None:
        id = str(self.subscription.customer)
        return (await self.bench.stripe.v1.customers.retrieve_async(id)).balance


def amounts(subscription: stripe.Subscription) -> list[int]:
    return [line.amount for line in latest(subscription).lines.data]


async def test_an_upgrade_is_invoiced_at_once(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    platinum = await price(bench, 6_200, "Platinum")
    sub = await shop.swap(platinum, proration_behavior="always_invoice")
    assert (amounts(sub), latest(sub).amount_paid) == ([-2_100, 4_200], 2_100)
    assert latest(sub).billing_reason == "subscription_update"
    assert period(sub) == (JANUARY, JANUARY + 31 * DAY)
    assert amounts(await shop.day(32, hour=2)) == [6_200]


async def test_a_downgrade_credits_the_customer(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await shop.swap(await price(bench, 1_550), proration_behavior="always_invoice")
    assert (latest(sub).total, latest(sub).amount_due, await shop.balance()) == (-1_050, 0, -1_050)
    sub = await shop.day(32, hour=2)
    assert (latest(sub).total, latest(sub).amount_paid, await shop.balance()) == (1_550, 500, 0)


async def test_what_is_changed_twice_is_credited_as_it_was_billed(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    await shop.swap(await price(bench, 6_200))
    await shop.day(21)
    await shop.swap(await price(bench, 3_100))
    assert await shop.pending() == [-2_200, 1_100, -2_100, 4_200]


async def test_without_proration_only_the_next_period_changes(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    await shop.swap(await price(bench, 6_200), proration_behavior="none")
    assert await shop.pending() == []
    assert amounts(await shop.day(32, hour=2)) == [6_200]


async def test_a_proration_date_counts_in_place_of_now(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    await shop.swap(await price(bench, 6_200), proration_date=JANUARY + 15 * DAY)
    assert await shop.pending() == [-1_600, 3_200]
    with pytest.raises(stripe.InvalidRequestError, match="within the current period"):
        await shop.swap(await price(bench, 6_200), proration_date=JANUARY - 1)


async def test_another_interval_begins_a_new_cycle(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await shop.swap(await price(bench, 30_000, interval="year"))
    assert (amounts(sub), latest(sub).amount_paid) == ([-2_100, 30_000], 27_900)
    assert period(sub) == (JANUARY + 10 * DAY, JANUARY + 375 * DAY)
    assert sub.billing_cycle_anchor == JANUARY + 10 * DAY


async def test_the_cycle_begins_anew_by_request(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await shop.change(billing_cycle_anchor={"type": "now"}, proration_behavior="none")
    assert (amounts(sub), period(sub)[0]) == ([3_100], JANUARY + 10 * DAY)
    unchanged = await shop.change(billing_cycle_anchor={"type": "unchanged"})
    assert latest(unchanged).id == latest(sub).id


async def test_items_are_added_changed_and_deleted(bench: Bench) -> None:
    shop = await Shop.open(bench)
    items = bench.stripe.v1.subscription_items
    await shop.day(11)
    seats = await items.create_async(
        {"subscription": shop.subscription.id, "price": await price(bench, 310), "quantity": 2}
    )
    assert (seats.plan.amount, await shop.pending()) == (310, [420])
    await shop.day(21)
    changed = await items.update_async(seats.id, {"quantity": 3, "metadata": {"a": "1"}})
    assert (changed.quantity, changed.metadata.to_dict()) == (3, {"a": "1"})
    assert await shop.pending() == [-220, 330, 420]
    listed = await items.list_async({"subscription": shop.subscription.id})
    assert {item.id for item in listed.data} == {
        item.id for item in (await now(bench, shop.subscription)).items.data
    }
    await shop.day(26)
    assert (await items.delete_async(seats.id, {"proration_behavior": "none"})).deleted
    sub = await shop.day(32, hour=2)
    assert (amounts(sub), len(sub.items.data)) == ([-220, 330, 420, 3_100], 1)
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        await items.delete_async(sub.items.data[0].id)


async def test_items_of_several_intervals_renew_each_by_itself(bench: Bench) -> None:
    shop = await Shop.open(bench)
    yearly = await price(bench, 12_000, "Support", interval="year")
    await bench.stripe.v1.subscription_items.create_async(
        {"subscription": shop.subscription.id, "price": yearly, "proration_behavior": "none"}
    )
    sub = await shop.day(32, hour=2)
    assert amounts(sub) == [3_100]
    assert [item.current_period_end for item in sub.items.data] == [
        JANUARY + 59 * DAY,
        JANUARY + 365 * DAY,
    ]


async def test_proration_follows_the_discount(bench: Bench) -> None:
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 50, "duration": "forever"})
    shop = await Shop.open(bench, discounts=[{"coupon": coupon.id}])
    await shop.day(11)
    sub = await shop.swap(await price(bench, 6_200), proration_behavior="always_invoice")
    assert (amounts(sub), latest(sub).amount_paid) == ([-1_050, 2_100], 1_050)


async def test_a_trial_may_begin_later_and_be_prolonged(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await shop.change(trial_end=JANUARY + 20 * DAY)
    assert (sub.status, amounts(sub)) == ("trialing", [-2_100, 0])
    assert await shop.balance() == -2_100
    await shop.change(trial_end=JANUARY + 25 * DAY)
    assert (await shop.day(25)).status == "trialing"
    sub = await shop.day(26, hour=2)
    assert (sub.status, latest(sub).amount_paid) == ("active", 1_000)
    assert len(await invoices(bench, sub)) == 3


async def test_a_trial_ends_now(bench: Bench) -> None:
    shop = await Shop.open(bench, trial_period_days=20)
    await shop.day(11)
    sub = await shop.change(trial_end="now")
    assert (sub.status, sub.trial_end, latest(sub).amount_paid) == (
        "active",
        JANUARY + 10 * DAY,
        3_100,
    )


async def test_an_unpaid_change_is_past_due_or_refused(bench: Bench) -> None:
    shop = await Shop.open(bench)
    broken = await bench.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(shop.subscription.customer)}
    )
    await shop.day(11)
    platinum = await price(bench, 6_200)
    await shop.change(default_payment_method=broken.id)
    with pytest.raises(stripe.CardError):
        await shop.swap(
            platinum, proration_behavior="always_invoice", payment_behavior="error_if_incomplete"
        )
    assert (await now(bench, shop.subscription)).items.data[0].price.unit_amount == 3_100
    sub = await shop.swap(platinum, proration_behavior="always_invoice")
    assert (sub.status, latest(sub).status) == ("past_due", "open")


async def test_cancel_at_cuts_the_period_and_lifting_it_restores_it(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await shop.change(cancel_at=JANUARY + 20 * DAY)
    assert (period(sub)[1], await shop.pending()) == (JANUARY + 20 * DAY, [-1_100])
    sub = await shop.change(cancel_at="")
    assert (sub.cancel_at, sub.canceled_at, period(sub)[1]) == (None, None, JANUARY + 31 * DAY)
    assert await shop.pending() == [1_100, -1_100]
    await shop.change(cancel_at=JANUARY + 20 * DAY)
    sub = await shop.day(21, hour=2)
    assert (sub.status, latest(sub).total, await shop.balance()) == ("canceled", -1_100, -1_100)


@pytest.mark.parametrize(
    ("params", "days"),
    [
        ({"billing_cycle_anchor": {"type": "now"}}, 31),
        ({"trial_end": JANUARY + 50 * DAY}, 40),
        ({"items": [{"price": "yearly"}]}, 365),
    ],
    ids=["cycle", "trial", "interval"],
)
async def test_an_end_planned_for_that_of_the_period_moves_with_it(
    bench: Bench, params: dict[str, Any], days: int
) -> None:
    shop = await Shop.open(bench)
    await shop.change(cancel_at_period_end=True)
    await shop.day(11)
    if "items" in params:
        yearly = await price(bench, 31_000, interval="year")
        params = {"items": [{"id": shop.subscription.items.data[0].id, "price": yearly}]}
    sub = await shop.change(**params, proration_behavior="none")
    end = JANUARY + (10 + days) * DAY
    assert (period(sub)[1], sub.cancel_at, sub.canceled_at) == (end, end, JANUARY)
    assert sub.cancel_at_period_end
    sub = await shop.day(11 + days, hour=2)
    assert (sub.status, sub.ended_at) == ("canceled", end)


async def test_a_resumed_subscription_ends_with_its_new_period(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.change(cancel_at_period_end=True)
    await bench.stripe.v1.subscriptions.pause_async(shop.subscription.id)
    await shop.day(11)
    sub = await shop_resume(bench)(shop)
    assert (period(sub)[1], sub.cancel_at) == (JANUARY + 41 * DAY, JANUARY + 41 * DAY)


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")],
)
async def test_collection_pauses(bench: Bench, behavior: str, status: str) -> None:
    shop = await Shop.open(bench)
    resumes = JANUARY + 40 * DAY
    await shop.change(pause_collection={"behavior": behavior, "resumes_at": resumes})
    sub = await shop.day(32, hour=2)
    assert (sub.status, latest(sub).status) == ("active", status)
    sub = await shop.day(42)
    assert sub.pause_collection is None
    assert latest(await shop.day(60, hour=2)).amount_paid == 3_100


async def test_a_paused_subscription_credits_what_is_unused(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    sub = await bench.stripe.v1.subscriptions.pause_async(shop.subscription.id)
    assert (sub.status, await shop.pending()) == ("paused", [-2_100])
    assert (await bench.events())[-1] == "customer.subscription.paused"
    sub = await shop.day(60)
    assert len(await invoices(bench, sub)) == 1
    sub = await bench.stripe.v1.subscriptions.resume_async(sub.id, {"expand": ["latest_invoice"]})
    assert (sub.status, amounts(sub), latest(sub).amount_paid) == ("active", [-2_100, 3_100], 1_000)
    assert period(sub)[0] == JANUARY + 59 * DAY
    assert "customer.subscription.resumed" in await bench.events()


async def test_pausing_may_bill_at_once_or_not_at_all(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    pause, resume = bench.stripe.v1.subscriptions.pause_async, shop_resume(bench)
    await pause(shop.subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    assert await shop.pending() == []
    sub = await resume(shop, billing_cycle_anchor={"type": "unchanged"}, proration_behavior="none")
    assert (sub.status, period(sub)) == ("active", (JANUARY, JANUARY + 31 * DAY))
    since: Any = {"unused_time_from": {"type": "item_current_period_start"}}
    await pause(shop.subscription.id, {"bill_for": since, "invoicing_behavior": "invoice"})
    assert await shop.balance() == -3_100
    await resume(shop, billing_cycle_anchor={"type": "unchanged"})
    assert await shop.pending() == [2_100]
    with pytest.raises(stripe.InvalidRequestError, match="`paused` can be resumed"):
        await resume(shop)


def shop_resume(bench: Bench) -> Any:
    async def resume(shop: Shop, **params: Any) -> stripe.Subscription:
        form: Any = {"expand": ["latest_invoice"], **params}
        return await bench.stripe.v1.subscriptions.resume_async(shop.subscription.id, form)

    return resume


async def test_resuming_may_wait_for_the_payment(bench: Bench) -> None:
    shop, resume = await Shop.open(bench), shop_resume(bench)
    await bench.stripe.v1.subscriptions.pause_async(
        shop.subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    await shop.day(40)
    sub = await resume(shop, payment_behavior="resume_on_payment_success")
    assert (sub.status, latest(sub).status) == ("paused", "open")
    sub = await shop.day(41)
    assert (sub.status, latest(sub).status) == ("paused", "void")
    sub = await resume(shop, payment_behavior="resume_on_payment_success")
    await bench.stripe.v1.invoices.pay_async(latest(sub).id)
    assert (await now(bench, sub)).status == "active"


async def test_a_preview_changes_nothing(bench: Bench) -> None:
    shop = await Shop.open(bench)
    await shop.day(11)
    before = await bench.events()
    preview = bench.stripe.v1.invoices.create_preview_async
    renewal = await preview({"subscription": shop.subscription.id})
    assert ([line.amount for line in renewal.lines.data], renewal.status) == ([3_100], "draft")
    details: Any = {
        "items": [{"id": shop.subscription.items.data[0].id, "quantity": 2}],
        "proration_behavior": "always_invoice",
    }
    change_ = await preview({"subscription": shop.subscription.id, "subscription_details": details})
    assert [line.amount for line in change_.lines.data] == [-2_100, 4_200]
    details["proration_behavior"] = "create_prorations"
    later = await preview({"subscription": shop.subscription.id, "subscription_details": details})
    assert [line.amount for line in later.lines.data] == [-2_100, 4_200, 6_200]
    ended = await preview(
        {"subscription": shop.subscription.id, "subscription_details": {"cancel_now": True}}
    )
    assert ended.total == -2_100
    new = await preview(
        {
            "customer": str(shop.subscription.customer),
            "subscription_details": {"items": [{"price": await price(bench, 500)}]},
        }
    )
    assert (new.total, new.billing_reason) == (500, "upcoming")
    await shop.change(cancel_at_period_end=True)
    with pytest.raises(stripe.InvalidRequestError, match="No upcoming invoices"):
        await preview({"subscription": shop.subscription.id})
    assert [e for e in (await bench.events())[len(before) :] if e.startswith("invoice")] == []


async def test_settings_change_key_by_key(bench: Bench) -> None:
    shop = await Shop.open(bench, payment_settings={"payment_method_types": ["card"]})
    settings = {"save_default_payment_method": "on_subscription"}
    sub = await shop.change(payment_settings=settings, description="Seats", metadata={"a": "1"})
    assert sub.payment_settings
    assert sub.payment_settings.payment_method_types == ["card"]
    (last,) = (await bench.stripe.v1.events.list_async({"limit": 1})).data
    assert last.data.to_dict()["previous_attributes"] == {
        "description": None,
        "metadata": {"a": None},
        "payment_settings": {"save_default_payment_method": "off"},
    }
