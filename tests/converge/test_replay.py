"""Replay: what came before is applied anew, and a dry run says beforehand what that changes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from converge.observing import paid_at_stripe, priced_booking, refund_at_stripe
from core.test_cli import run
from payments.core.principal import Principal
from payments.sync.replay import Replay, replay_all
from payments.sync.resources import Registry
from payments.sync.selection import Selection
from payments.sync.throttle import Throttle
from service.variants import listening
from world import SECRET, Json, World

EVERYTHING: Json = {"type": ["*"]}


async def ask(world: World, status: int = 200, **body: Any) -> Json:
    return await world.ask("POST", "/stripe/events/replay", body, status=status, role="admin")


async def dry(world: World, **body: Any) -> Json:
    """A dry run; it fails the test if it changes a row anywhere, or the time of one."""
    before = await everything(world)
    found = await ask(world, dry_run=True, **body)
    assert await everything(world) == before
    rehearsal: Json = found["rehearsal"]
    return rehearsal


async def everything(world: World) -> dict[str, list[str]]:
    """All rows of all tables, but for the log of what Stripe was asked."""
    names = await world.rows(
        "select format('%I.%I', schemaname, tablename) from pg_tables "
        "where schemaname in ('public', 'stripe') and tablename <> 'stripe_calls'"
    )
    return {
        name: [row[0] for row in await world.rows(f"select t::text from {name} t order by 1")]
        for (name,) in names
    }


def differing(rehearsal: Json) -> dict[tuple[str, str], tuple[Json | None, Json]]:
    return {(d["table"], d["id"]): (d["before"], d["after"]) for d in rehearsal["differences"]}


async def paid(world: World) -> tuple[Json, Json]:
    """A booking whose deposit is paid, all of it known here."""
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    await world.converge()
    assert (await world.booking(booking))["paid_cents"] == 10_000
    return booking, intent


async def state(world: World, id: str) -> tuple[str | None, int | None]:
    row = await world.db.fetchrow("select outcome, lane from stripe_events where id = $1", id)
    return row["outcome"], row["lane"]


async def test_a_replay_of_everything_in_a_converged_world_changes_nothing(world: World) -> None:
    _, intent = await paid(world)
    await refund_at_stripe(world, intent, amount=300)
    await world.converge()
    mirrored = "select (to_jsonb(t) - 'ticket')::text from stripe.{} t order by 1"
    tables = ("payment_intents", "refunds")
    before = [await world.rows(mirrored.format(table)) for table in tables]
    assert await dry(world, **EVERYTHING) == {"differences": [], "failures": [], "untried": []}
    replayed = await ask(world, **EVERYTHING)
    await world.work()
    assert len(replayed["events"]) >= 3
    assert replayed["rehearsal"] is None
    assert [await world.rows(mirrored.format(table)) for table in tables] == before
    assert await world.rows("select 1 from stripe_events where done_at is null") == []


async def test_a_damaged_mirror_is_shown_by_a_dry_run_and_healed_by_the_replay(
    world: World,
) -> None:
    booking, intent = await paid(world)
    await world.db.execute("update stripe.payment_intents set amount_received = 1, phase = 2")
    await world.db.execute("update bookings set paid_cents = 1, state = 'pending'")
    found = await dry(world, object_id=[intent["id"]])
    assert differing(found) == {
        ("stripe.payment_intents", intent["id"]): (
            {"amount_received": 1},
            {"amount_received": 10_000},
        ),
        ("bookings", booking["id"]): (
            {"paid_cents": 1, "state": "pending"},
            {"paid_cents": 10_000, "state": "confirmed"},
        ),
    }
    await ask(world, object_id=[intent["id"]])
    await world.work()
    assert differing(await dry(world, **EVERYTHING)) == {}
    assert (await world.booking(booking))["paid_cents"] == 10_000
    [entry] = await world.rows("select actor, act, subject from audit_log where act ~ 'events'")
    assert tuple(entry) == ("u-1", "events.replayed", intent["id"])


async def test_what_follows_is_recomputed_though_the_mirror_is_right(world: World) -> None:
    booking, _ = await paid(world)
    await world.db.execute("update bookings set paid_cents = 0, state = 'pending'")
    await ask(world, type=["payment_intent.succeeded"])
    await world.work()
    assert (await world.booking(booking))["state"] == "confirmed"


async def test_events_that_nobody_followed_when_they_came_are_applied_once_somebody_does(
    world: World,
) -> None:
    booking = await priced_booking(world)
    intent = await paid_at_stripe(world, booking)
    sync, registry = world.ctx.sync, world.ctx.sync.registry
    old = Registry([r for r in registry.resources if r.name != "payment_intent"])
    world.app.state.context = replace(world.ctx, sync=replace(sync, registry=old))
    await world.converge()
    ignored = await ask(world, object_id=[intent["id"]])
    assert (ignored["events"], len(ignored["ignored"])) == ([], 2)
    world.app.state.context = replace(world.ctx, sync=sync)
    shown = differing(await dry(world, state=["ignored"], type=["payment_intent.*"]))
    before, after = shown["stripe.payment_intents", intent["id"]]
    assert before is None
    assert after["amount_received"] == 10_000
    assert shown["bookings", booking["id"]][1]["paid_cents"] == 10_000
    await ask(world, state=["ignored"], type=["payment_intent.*"])
    await world.work()
    assert (await world.booking(booking))["paid_cents"] == 10_000


async def test_a_dead_event_lives_again_and_one_that_still_fails_is_named_beforehand(
    world: World,
) -> None:
    booking, intent = await paid(world)
    [event] = await world.events(type="payment_intent.succeeded")
    broken = {name: value for name, value in event["data"]["object"].items() if name != "amount"}
    poison = {"id": "evt_poison", "data": {"object": broken | {"id": "pi_poison"}}}
    await world.deliver(event | poison)
    await world.db.execute("delete from stripe.payment_intents")
    await world.db.execute(
        "update stripe_events set outcome = 'dead', error = 'Oh: 100%', not_before = null, "
        "attempts = 12 where type = 'payment_intent.succeeded'"
    )
    found = await dry(world, error="100%", state=["dead"])
    assert [f["object_id"] for f in found["failures"]] == ["pi_poison"]
    assert "amount" in found["failures"][0]["error"]
    assert [d["id"] for d in found["differences"]] == [intent["id"]]
    assert (await ask(world, error="10_%"))["events"] == []
    assert len((await ask(world, error="OH: 100%"))["events"]) == 2
    await world.work()
    assert await state(world, event["id"]) == ("applied", 0)
    [listed] = (
        await world.ask("GET", "/stripe/events?state=postponed&error=amount", role="admin")
    )["data"]
    assert (listed["id"], listed["attempts"]) == ("evt_poison", 1)
    assert (await world.booking(booking))["paid_cents"] == 10_000


async def test_an_event_whose_body_was_redacted_is_fetched(world: World) -> None:
    booking, intent = await paid(world)
    await world.db.execute("update stripe_events set body = null")
    await world.db.execute("delete from stripe.payment_intents")
    await world.db.execute("update bookings set paid_cents = 0")
    [event] = await world.events(type="payment_intent.succeeded")
    shown = differing(await dry(world, id=[event["id"]]))
    assert shown["bookings", booking["id"]] == ({"paid_cents": 0}, {"paid_cents": 10_000})
    assert ("stripe.payment_intents", intent["id"]) in shown
    await ask(world, id=[event["id"]])
    await world.work()
    assert (await world.booking(booking))["paid_cents"] == 10_000
    assert await state(world, event["id"]) == ("applied", 1)


async def test_what_stripe_does_not_have_is_named_by_a_dry_run(world: World) -> None:
    await paid(world)
    await world.db.execute("update stripe_events set body = null, object_id = 'pi_elsewhere'")
    found = await dry(world, object_id=["pi_elsewhere"])
    assert [f["object_id"] for f in found["failures"]] == ["pi_elsewhere"]
    assert found["differences"] == []


async def test_only_a_task_that_died_is_begun_again_and_no_dry_run_tries_it(world: World) -> None:
    await world.db.execute(
        "insert into stripe_events (id, type, resource, object_id, lane, outcome) values "
        "('task:done', 'task', 'refund', 'r', 1, 'applied'), "
        "('task:dead', 'task', 'refund', 'r', 1, 'dead')"
    )
    assert (await dry(world, type=["task"]))["untried"] == ["task:dead"]
    assert (await ask(world, type=["task"]))["events"] == ["task:dead"]


async def test_a_window_takes_what_was_received_in_it_page_by_page(world: World) -> None:
    await paid(world)
    rows = await world.rows("select id from stripe_events order by received_at, id")
    ids = [row["id"] for row in rows]
    await world.db.execute(
        "update stripe_events set received_at = '2031-05-01Z'::timestamptz "
        "+ make_interval(hours => array_position($1::text[], id))",
        ids,
    )
    window: Json = {"since": "2031-05-01T01:00:00Z", "until": "2031-05-01T03:00:00Z"}
    first = await ask(world, limit=1, **window)
    second = await ask(world, limit=1, **window, starting_after=first["last"])
    assert (first["events"] + first["ignored"], first["has_more"]) == (ids[:1], True)
    assert (second["events"] + second["ignored"], second["has_more"]) == (ids[1:2], False)
    listed = await world.ask("GET", "/stripe/events", params=window, role="admin")
    assert [event["id"] for event in listed["data"]] == ids[1::-1]


@pytest.mark.parametrize("body", [{}, {"id": []}, {"dry_run": True, "limit": 5}])
async def test_a_replay_of_nothing_in_particular_is_refused(world: World, body: Json) -> None:
    assert "send at least one of id, object_id" in (await ask(world, 422, **body))["detail"]


async def test_the_command_shows_the_differences_replays_and_lists(world: World) -> None:
    booking, intent = await paid(world)
    await world.db.execute("update bookings set paid_cents = 0, state = 'pending'")
    assert world.settings.database_url is not None
    async with listening(world.sandbox) as url:
        said = partial(
            run,
            "events",
            DATABASE_URL=world.settings.database_url.get_secret_value(),
            STRIPE_SECRET_KEY="sk_test_sandbox",
            STRIPE_WEBHOOK_SECRET=SECRET,
            STRIPE_API_BASE=url,
            COLUMNS="200",
        )
        tried = await said("replay", "--object", intent["id"], "--dry-run")
        done = await said("replay", "--object", intent["id"])
        listed = await said("list", "--object", intent["id"], "--state", "pending")
        nothing = await said("replay")
        unknown = await said("list", "--state", "lost")
    assert tried.exit_code == 0, tried.output
    for part in (booking["id"], "paid_cents", "10000", "(nothing was changed)"):
        assert part in tried.stdout
    assert "2 events are due again" in done.stdout
    assert listed.stdout.count("pending") == 2
    assert "send at least one of" in str(nothing.exception)
    assert "state 'lost'" in unknown.output
    await world.work()
    assert (await world.booking(booking))["paid_cents"] == 10_000


async def test_a_long_replay_ends_though_events_keep_coming(world: World) -> None:
    await paid(world)
    [event] = await world.events(type="payment_intent.succeeded")
    await world.db.execute(
        "insert into stripe_events (id, type, object_id, outcome, received_at) "
        "select 'evt_' || n, 'x.y', 'pi_x', 'ignored', now() from generate_series(1, 150) n"
    )
    wish = Replay(
        who=Principal(user_id="boss", role="admin"),
        selection=Selection(type=["*"]),
        dry_run=False,
        throttle=Throttle(1000),
    )
    pages: list[Sequence[str]] = []
    async for page in replay_all(world.ctx.sync, wish):
        pages.append([*page.events, *page.ignored])
        await world.deliver(event | {"id": f"evt_late_{len(pages)}"})
    every = [id for page in pages for id in page]
    assert len(pages) == 2
    assert len(every) == len(set(every)) > 150
    assert not any(id.startswith("evt_late") for id in every)
