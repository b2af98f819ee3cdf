"""Discounts of subscriptions: Stripe names them in its events, and says no more unless asked."""

import orjson
import pytest
import pytest_asyncio

from converge.observing import give, take_ticket
from converge.test_reconcile import named, reconcile
from payments.domains.subscriptions.tables import SUBSCRIPTION, read
from payments.sync import observe
from payments.sync.reconcile import confirm
from service.plans import catch_up, shelve, subscribed
from service.subscribers import Subscribers
from world import Json, World


@pytest_asyncio.fixture
async def at(world: World) -> Subscribers:
    return Subscribers(world)


async def mirrored(world: World, subscription: Json) -> list[Json]:
    query = "select discounts from stripe.subscriptions where id = $1"
    found: list[Json] = orjson.loads(await world.db.fetchval(query, subscription["id"]))
    return found


def kept(coupon: str, **terms: object) -> Json:
    return {
        "coupon": coupon,
        **dict.fromkeys(("percent_off", "amount_off", "currency", "end")),
        **terms,
    }


async def test_what_comes_off_more_than_one_bill_is_kept_in_its_order(at: Subscribers) -> None:
    off = [
        await at.coupon(percent_off="12.5", duration="forever"),
        await at.coupon(percent_off="90", duration="once"),
        await at.coupon(amount_off=500, currency="usd", duration="forever"),
        await at.coupon(percent_off="100", duration="repeating", duration_in_months=3),
    ]
    made = await at.subscribe(await at.price(2_000), off=off)
    path = f"/v1/subscriptions/{made['id']}?expand[]=discounts"
    ends = (await at.world.at_stripe("GET", path))["discounts"][-1]["end"]
    await catch_up(at.world)
    assert await mirrored(at.world, made) == [
        kept(off[0], percent_off="12.5"),
        kept(off[2], amount_off=500, currency="usd"),
        kept(off[3], percent_off="100", end=ends),
    ]


async def test_an_event_a_fetch_and_a_list_leave_the_same_row(
    at: Subscribers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)
    coupon = await at.coupon(percent_off="20", duration="forever")
    made = await at.subscribe(await at.price(2_000), off=[coupon])
    await catch_up(at.world)
    sync = at.world.ctx.sync
    listed = [one async for page in observe.pages(sync, SUBSCRIPTION, status="all") for one in page]
    fetched = await observe.look(sync, SUBSCRIPTION, made["id"])
    assert [read(one.object) for one in listed] == [read(fetched.object)]
    assert read(fetched.object)["discounts"] == await mirrored(at.world, made)
    assert named(await reconcile(at.world)) == set()


async def test_a_discount_that_is_given_or_taken_away_later_is_followed(at: Subscribers) -> None:
    made = await at.subscribe(await at.price(2_000))
    await catch_up(at.world)
    assert await mirrored(at.world, made) == []
    coupon = await at.coupon(percent_off="20", duration="forever")
    given: Json = {"discounts[0][coupon]": coupon}
    await at.change(made, **given)
    await catch_up(at.world)
    assert await mirrored(at.world, made) == [kept(coupon, percent_off="20")]

    await at.world.at_stripe("DELETE", f"/v1/subscriptions/{made['id']}/discount")
    [event] = await at.world.events(type="customer.discount.deleted")
    assert event["data"]["object"]["subscription"] == made["id"]
    await at.world.converge([event])
    assert await mirrored(at.world, made) == []


async def test_a_discount_of_nothing_that_is_mirrored_is_only_kept_as_an_event(
    at: Subscribers,
) -> None:
    coupon = await at.coupon(percent_off="20", duration="forever")
    await at.world.at_stripe("POST", "/v1/customers", coupon=coupon)
    await catch_up(at.world)
    [event] = await at.world.rows(
        "select resource, lane from stripe_events where type = 'customer.discount.created'"
    )
    assert (event["resource"], event["lane"]) == (None, None)


async def test_what_is_changed_here_keeps_the_discounts_that_stripes_answer_only_names(
    world: World,
) -> None:
    await shelve(world)
    paid = await subscribed(world)
    coupon = await Subscribers(world).coupon(percent_off="20", duration="forever")
    given: Json = {"discounts[0][coupon]": coupon}
    await Subscribers(world).change(paid, **given)
    await catch_up(world)
    ending = await world.ask("DELETE", f"/stripe/subscriptions/{paid['id']}")
    assert ending["cancel_at_period_end"]
    assert await mirrored(world, paid) == [kept(coupon, percent_off="20")]


async def test_a_coupon_that_is_gone_goes_on_for_those_who_have_it(at: Subscribers) -> None:
    coupon = await at.coupon(percent_off="20", duration="forever")
    made = await at.subscribe(await at.price(2_000), off=[coupon])
    await at.world.at_stripe("DELETE", f"/v1/coupons/{coupon}")
    await catch_up(at.world)
    assert await mirrored(at.world, made) == [kept(coupon, percent_off="20")]
    assert await recurring(at.world) == ([1_600], 0)


async def test_of_a_coupon_that_stripe_only_names_nothing_is_guessed(at: Subscribers) -> None:
    coupon = await at.coupon(percent_off="20", duration="forever")
    made = await at.subscribe(await at.price(2_000), off=[coupon])
    whole = {"expand[]": "discounts.source.coupon"}
    seen = (await at.world.stripe.get(f"/v1/subscriptions/{made['id']}", params=whole)).json()
    seen["discounts"][0]["source"]["coupon"] = coupon
    await give(at.world, seen, ticket=await take_ticket(at.world))
    assert await mirrored(at.world, made) == [kept(coupon)]
    assert await recurring(at.world) == ([], 1)


async def recurring(world: World) -> tuple[list[int], int]:
    """What recurs each month by currency, and of how many subscriptions that is not known."""
    found = await world.ask("GET", "/financial/admin/dashboard", role="admin")
    counted = found["subscriptions"]
    return [each["mrr"] for each in counted["mrr"]], counted["mrr_unknown"]
