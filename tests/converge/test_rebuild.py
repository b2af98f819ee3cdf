"""Rebuild: the mirrors come back from Stripe alone, whatever has happened to them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import BigInteger, Boolean, SmallInteger, Text

from converge.observing import (
    FORM,
    give,
    paid_at_stripe,
    plan_at_stripe,
    priced_booking,
    refund_at_stripe,
    resource,
    row,
    take_ticket,
    wished,
)
from core.test_cli import run
from payments.core.errors import StripeMisconfigured
from payments.sync import rebuild as rebuilding
from payments.sync.account import WrongAccount
from payments.sync.rebuild import Course, TooManyGone, begin, end, preview, rebuild
from payments.sync.recheck import recheck
from payments.sync.resources import Registry, Resource
from payments.sync.throttle import Throttle
from service.variants import listening
from world import KEY, SECRET, Json, World

SUM: Final[Json] = {**FORM, "amount": 1_000}
CARDS: Final = ("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail")
OURS: Final = (
    "bookings", "customer_links", "open_payables", "refund_requests", "outbox", "billed_lines",
    "waiting_grants", "credit_lots", "credit_entries",
)  # fmt: skip
QUIET: Final = {"ticket", "updated_at", "not_before", "done_at", "received_at"}


@pytest_asyncio.fixture
async def lived_in(world: World) -> World:
    """Paid, declined, refunded, disputed, sold: all of it known here, some of it deleted."""
    for card in CARDS:
        booking = await priced_booking(world)
        session = await world.session(booking, payment_type="deposit")
        await world.pay(session, card)
        intent = await paid_at_stripe(world, booking, card)
        await refund_at_stripe(world, intent, amount=2_500)
    booking = await priced_booking(world)
    await paid_at_stripe(world, booking, "pm_card_createDispute")
    declined = await world.intent(booking, payment_type="full")
    await world.confirm(declined, "pm_card_chargeDeclined", status=402)
    lamps = [await world.at_stripe("POST", "/v1/products", name=f"Lamp {n}") for n in range(3)]
    for lamp in lamps:
        form = {"product": lamp["id"], "currency": "usd", "unit_amount": 900}
        price = await world.at_stripe("POST", "/v1/prices", **form)
        await world.at_stripe("POST", f"/v1/prices/{price['id']}", active="false")
    spare = await world.at_stripe("POST", "/v1/products", name="No lamp")
    await world.at_stripe("DELETE", f"/v1/products/{spare['id']}")
    paid = await plan_at_stripe(world)
    link = {"stripe_customer_id": paid["customer"]}
    await world.ask("PUT", "/customers/u-plan", link, role="admin")
    await plan_at_stripe(world)
    await plan_at_stripe(world, payment_behavior="default_incomplete")
    ended = await plan_at_stripe(world, trial_period_days=7)
    await world.at_stripe("DELETE", f"/v1/subscriptions/{ended['id']}")
    draft = await world.at_stripe("POST", "/v1/invoices", customer=ended["customer"])
    await world.at_stripe("DELETE", f"/v1/invoices/{draft['id']}")
    await world.settle()
    await world.converge()
    return world


def registered(world: World) -> Sequence[Resource]:
    return world.ctx.sync.registry.resources


async def rebuilt(world: World, *kinds: str, **how: Any) -> dict[str, Course]:
    """Rebuild all, or some, in one go."""
    chosen = [r for r in registered(world) if not kinds or r.name in kinds]
    courses = await begin(world.ctx.sync, chosen, restart=False)
    for course in courses:
        async for _ in rebuild(world.ctx.sync, Throttle(1000), course, **how):
            pass
    await end(world.ctx.sync, courses)
    return {course.resource.name: course for course in courses}


async def written(world: World) -> dict[str, list[str]]:
    """Every row of the mirrors and of what follows from them, without when it was looked at."""
    tables = (*(resource.relation for resource in registered(world)), *OURS)
    quiet = ", ".join(f"'{name}'" for name in sorted(QUIET))
    query = "select (to_jsonb(t) - array[{}])::text from {} t order by 1"
    return {t: [r[0] for r in await world.rows(query.format(quiet, t))] for t in tables}


async def differing(world: World) -> list[Any]:
    return [d async for _, found in recheck(world.ctx.sync) for d in found]


async def blank(world: World) -> None:
    """Take away all that is Stripe's in a row, and every third row."""
    for each in registered(world):
        columns = each.table.__table__.columns
        names = set(columns.keys()) - {"id", "account", "deleted", "updated_at"}
        taken = ", ".join(f'"{columns[n].name}" = {_nothing(columns[n])}' for n in sorted(names))
        await world.db.execute(f"update {each.relation} set {taken} where not deleted")
        third = f"select id from {each.relation} where not deleted order by id limit 1 offset 2"
        await world.db.execute(f"delete from {each.relation} where id in ({third})")


def _nothing(column: Any) -> str:
    if column.nullable:
        return "null"
    if isinstance(column.type, Boolean):
        return "false"
    if isinstance(column.type, BigInteger | SmallInteger):
        return "0"
    return "''" if isinstance(column.type, Text) else "'1970-01-01Z'"


async def test_what_events_have_made_a_rebuild_leaves_and_blanked_mirrors_come_back(
    lived_in: World,
) -> None:
    world = lived_in
    before = await written(world)
    for each in registered(world):
        assert len(before[each.relation]) >= 1
        assert [change async for change in changes(world, each)] == []
    await rebuilt(world)
    assert await written(world) == before
    await blank(world)
    assert await written(world) != before

    courses = await rebuilt(world)

    assert await written(world) == before
    assert await differing(world) == []
    assert sum(course.listed for course in courses.values()) > 20
    assert await world.rows("select 1 from rebuilds") == []


async def changes(world: World, resource: Resource) -> AsyncIterator[Any]:
    async for page in preview(world.ctx.sync, Throttle(1000), resource):
        for difference in page.differences:
            yield difference


async def test_cut_short_after_every_page_it_goes_on_and_ends_the_same(
    lived_in: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "PAGE", 2)
    world = lived_in
    await rebuilt(world)
    before = await written(world)
    await blank(world)
    seen: list[int] = []
    while courses := [
        c for c in await begin(world.ctx.sync, registered(world), restart=False) if not c.done
    ]:
        pages = rebuild(world.ctx.sync, Throttle(1000), courses[0])
        seen += [n async for n in first(pages)]
    assert await written(world) == before
    listed = await world.db.fetchval("select sum(listed) from rebuilds")
    assert (
        sum(seen) == listed == sum(len(before[each.relation]) for each in registered(world)) - 2
    ), "each was listed once, but for what was deleted"
    again = await begin(world.ctx.sync, registered(world), restart=True)
    assert [(c.listed, c.after, c.done) for c in again] == [(0, None, False)] * len(again)


async def first(pages: Any) -> AsyncIterator[int]:
    try:
        yield await anext(pages)
    except StopAsyncIteration:
        return
    finally:
        await pages.aclose()


async def test_one_cut_short_before_all_that_stripe_lists_of_events_is_begun_again(
    world: World,
) -> None:
    product = resource(world, "product")
    await world.at_stripe("POST", "/v1/products", name="A lamp")
    [course] = await begin(world.ctx.sync, [product], restart=False)
    async for _ in rebuild(world.ctx.sync, Throttle(1000), course):
        pass
    for days, done in ((29, True), (2, False)):
        world.clock.ahead += timedelta(days=days)
        [course] = await begin(world.ctx.sync, [product], restart=False)
        assert course.done is done


async def ghosts(world: World) -> tuple[Json, Json]:
    """A product and a payment that stand here alone."""
    product = await world.at_stripe("POST", "/v1/products", name="A lamp")
    intent = await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    ghost, payment = product | {"id": "prod_ghost"}, intent | {"id": "pi_ghost"}
    await give(world, product, intent, ghost, payment, ticket=await take_ticket(world))
    return ghost, payment


async def test_what_stripe_does_not_have_is_tombstoned_only_by_agreement_and_if_deletable(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ghost, payment = await ghosts(world)
    with pytest.raises(TooManyGone, match=r"1 of 2 rows of product .* --yes-tombstone 1$"):
        await rebuilt(world, "product")
    assert (await row(world, ghost))["deleted"] is False
    courses = await rebuilt(world, tombstones=1)
    assert (await row(world, ghost))["deleted"] is True
    assert courses["product"].gone == 1
    assert courses["payment_intent"].missing == ["pi_ghost"]
    assert (await row(world, payment))["deleted"] is False
    assert "objects_missing" in caplog.text
    [noted] = await world.rows(
        "select details->>'gone' from audit_log where subject = 'stripe.products'"
    )
    assert noted[0] == "1"


async def test_less_than_one_percent_is_tombstoned_and_what_is_merely_unlisted_is_found(
    world: World,
) -> None:
    ghost, _ = await ghosts(world)
    state = world.sandbox.sandbox.state
    [lamp] = state.rows("product").values()
    lamps = [state.put("product", f"prod_{n}", {**lamp, "id": f"prod_{n}"}) for n in range(150)]
    await give(world, *lamps, ticket=await take_ticket(world))
    [course] = (await rebuilt(world, "product")).values()
    assert (course.listed, course.found, course.gone) == (151, 0, 1)
    assert (await row(world, ghost))["deleted"] is True
    for n in range(2):
        state.change("product", f"prod_{n}", active=False, name="Retired")
    partly = replace(resource(world, "product"), listings=({"active": True},))
    sync = replace(world.ctx.sync, registry=Registry([partly]))
    [course] = await begin(sync, [partly], restart=False)
    seen = [n async for n in rebuild(sync, Throttle(1000), course)]
    assert (sum(seen), course.listed, course.found, course.gone) == (151, 149, 2, 0)
    assert (await row(world, lamps[0]))["name"] == "Retired"


async def test_a_wrong_key_ends_it_and_nothing_is_tombstoned(world: World) -> None:
    ghost, _ = await ghosts(world)
    await world.stripe.post(
        "/_sandbox/faults", json={"path": "/v1/products/prod_ghost", "status": 401}
    )
    with pytest.raises(StripeMisconfigured):
        await rebuilt(world, "product", tombstones=5)
    assert (await row(world, ghost))["deleted"] is False


async def test_an_object_that_cannot_be_applied_stops_nobody_else(world: World) -> None:
    intents = [await world.at_stripe("POST", "/v1/payment_intents", **SUM) for n in range(3)]
    world.sandbox.sandbox.state.change("payment_intent", intents[1]["id"], amount=None)
    [course] = (await rebuilt(world, "payment_intent")).values()
    assert course.failed == [intents[1]["id"]]
    assert await wished(world) == {intents[1]["id"]}
    assert [await row(world, intent) is not None for intent in intents] == [True, False, True]


async def test_a_row_that_cannot_be_applied_is_named_once(world: World) -> None:
    intent = await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    await give(world, intent, ticket=await take_ticket(world))
    world.sandbox.sandbox.state.change("payment_intent", intent["id"], amount=None)
    [course] = (await rebuilt(world, "payment_intent")).values()
    assert (course.failed, course.found, course.refused) == ([intent["id"]], 0, [])


async def test_a_row_that_the_writer_does_not_take_back_is_named(world: World) -> None:
    intent = await world.at_stripe("POST", "/v1/payment_intents", **SUM)
    await give(world, intent, ticket=await take_ticket(world))
    assert (await rebuilt(world))["payment_intent"].refused == []
    await world.db.execute("update stripe.payment_intents set status = 'succeeded', phase = 2")
    assert (await rebuilt(world))["payment_intent"].refused == [intent["id"]]


async def test_a_rate_limit_slows_it_down_and_a_deleted_place_in_the_list_begins_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "PAGE", 1)
    made = [await world.at_stripe("POST", "/v1/products", name=f"Lamp {n}") for n in range(3)]
    [course] = await begin(world.ctx.sync, [resource(world, "product")], restart=False)
    pages = rebuild(world.ctx.sync, Throttle(1000), course)
    await anext(pages)
    await world.at_stripe("DELETE", f"/v1/products/{made[-1]['id']}")
    await world.stripe.post(
        "/_sandbox/faults", json={"path": "/v1/products", "status": 429, "times": 3}
    )
    assert sum([n async for n in pages]) == 2
    assert [(await row(world, product))["name"] for product in made] == [
        "Lamp 0",
        "Lamp 1",
        "Lamp 2",
    ]
    assert course.done


async def test_the_recheck_sees_what_does_not_follow_and_changes_nothing(lived_in: World) -> None:
    world = lived_in
    assert await differing(world) == []
    await world.db.execute("update bookings set paid_cents = 7")
    before = await written(world)
    found = {(d.table, d.before["paid_cents"]) for d in await differing(world) if d.before}
    assert found == {("bookings", 7)}
    assert await written(world) == before


async def test_the_command_shows_beforehand_and_says_afterwards(lived_in: World) -> None:
    world = lived_in
    await world.db.execute("update stripe.payment_intents set amount_received = 1")
    await world.db.execute("delete from stripe.refunds")
    before = await written(world)
    assert world.settings.database_url is not None
    async with listening(world.sandbox) as url:
        env = {
            "DATABASE_URL": world.settings.database_url.get_secret_value(),
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": url,
            "SECRET_KEY": KEY,
            "COLUMNS": "200",
        }
        dry = await run("rebuild", "--dry-run", "--resource", "refund", **env)
        assert dry.exit_code == 0, dry.output
        assert "stripe.refunds" in dry.stdout
        assert "3 listed, 6 rows would differ, 0 of ours not listed" in dry.stdout
        assert await written(world) == before
        done = await run("rebuild", **env)
        assert (done.exit_code, await differing(world)) == (0, [])
        assert "refund            3 listed, 0 found by id alone, 0 tombstoned" in done.stdout
        refused = await run("rebuild", "--resource", "refunds", **env)
        assert "no refunds is mirrored" in str(refused.exception)
        await ghosts(world)
        await world.db.execute("update stripe.refunds set amount = 1")
        asked = await run("rebuild", **env)
        assert (asked.exit_code, "--yes-tombstone 1" in str(asked.exception)) == (1, True)
        assert await world.rows("select 1 from stripe.refunds where amount = 1") == []
        missing = await run("rebuild", "--yes-tombstone", "1", **env)
        assert missing.exit_code == 1
        assert "missing           pi_ghost" in missing.stdout
        await world.db.execute("update installation set account = 'acct_another'")
        wrong = await run("rebuild", "--dry-run", **env)
        assert isinstance(wrong.exception, WrongAccount)
