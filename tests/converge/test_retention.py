"""Retention: what is old and done goes in its time, what is unfinished, dead or young stays."""

from datetime import UTC, timedelta

import pytest
from pydantic import ValidationError

from converge.observing import intent_at_stripe, paid_at_stripe, priced_booking
from onboarding.commands import run
from payments.core.schemas import EPOCH
from payments.sync import retention
from world import KEY, SECRET, World, settings

BODIES, EVENTS = timedelta(days=90), timedelta(days=365)
KINDS = tuple(rule.what for rule in retention.RULES)
NOTHING = dict.fromkeys(KINDS, 0)


async def age(world: World, by: timedelta, *, id: str = "%") -> None:
    for table in ("stripe_events", "outbox"):
        await world.db.execute(
            f"update {table} set received_at = now() - $1::interval where id like $2",
            by + timedelta(minutes=1),
            id,
        )


async def bodies(world: World) -> dict[str, bool]:
    """Which events there are, and whether their bodies are."""
    rows = await world.rows("select id, body is not null as whole from stripe_events")
    return {row["id"]: row["whole"] for row in rows}


async def test_bodies_and_contents_go_before_the_rows_and_the_same_event_stays_known(
    world: World,
) -> None:
    booking = await priced_booking(world)
    declined = await intent_at_stripe(world, booking)
    await world.confirm(declined, "pm_card_chargeDeclined", status=402)
    await paid_at_stripe(world, booking)
    await world.converge()
    before = await bodies(world)
    assert await retention.retain(world.ctx) == NOTHING
    assert await bodies(world) == before

    await age(world, BODIES)
    count = {"event bodies": sum(before.values()), "message contents": 1}
    assert await retention.count(world.ctx) == NOTHING | count
    assert await retention.retain(world.ctx) == NOTHING | count
    assert await retention.retain(world.ctx) == NOTHING
    assert await bodies(world) == dict.fromkeys(before, False)
    [letter] = await world.rows("select * from outbox")
    assert (letter["facts"], letter["recipient"], letter["delivered"]) == ("{}", None, [])

    for event in await world.events():
        assert (await world.deliver(event)).status_code == 200
    assert await bodies(world) == dict.fromkeys(before, False)
    replayed = await world.ask("POST", "/stripe/events/replay", {"type": ["*"]}, role="admin")
    await world.work()
    assert {*replayed["events"], *replayed["ignored"]} == before.keys()
    assert (await world.booking(booking))["paid_cents"] == 10_000
    assert await world.rows("select 1 from stripe_events where done_at is null") == []

    await age(world, EVENTS)
    assert (await retention.retain(world.ctx))["events"] == len(before)
    assert await bodies(world) == {}
    assert [row["outcome"] for row in await world.rows("select outcome from outbox")] == ["logged"]


async def test_what_is_unfinished_or_dead_is_kept_however_old(world: World) -> None:
    await paid_at_stripe(world, await priced_booking(world))
    for event in await world.events():
        if event["type"].startswith("payment_intent."):
            await world.deliver(event)
    waiting, *dead = sorted(await bodies(world))
    await world.db.execute(
        "update stripe_events set outcome = 'dead', not_before = null where id <> $1", waiting
    )
    await age(world, 2 * EVENTS)
    assert await retention.retain(world.ctx) == NOTHING
    assert await bodies(world) == dict.fromkeys([waiting, *dead], True)


async def test_batches_reach_everything_and_leave_to_others_what_they_hold(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    await world.db.execute(
        "insert into stripe_events (id, type, body, received_at, done_at, outcome) "
        "select 'evt_' || n, 'x', 'x', now() - interval '91 days' - (n / 7) * interval '1 hour', "
        "now(), 'ignored' from generate_series(1, 57) n"
    )
    async with world.ctx.db.transaction() as tx:
        held = await world.db.fetchval("select id from stripe_events order by received_at limit 1")
        await tx.exec_driver_sql(f"select 1 from stripe_events where id = '{held}' for update")
        assert (await retention.retain(world.ctx))["event bodies"] == 56
    assert [id for id, whole in (await bodies(world)).items() if whole] == [held]
    assert (await retention.retain(world.ctx))["event bodies"] == 1


async def test_what_drift_says_of_people_goes_before_the_run_that_found_it(world: World) -> None:
    for days, what in ((91, "drift contents"), (366, "reconciliations")):
        await world.db.execute(
            "insert into reconciliations (id, requested_by, since, resources, heal, received_at, "
            "not_before) select id, 'system', now(), '{}', false, now() - $1::interval, due from "
            "(values ('rec_done', null), ('rec_due', now())) as r(id, due) on conflict (id) "
            "do update set received_at = excluded.received_at",
            timedelta(days=days),
        )
        await world.db.execute(
            "insert into reconciliation_drift (id, reconciliation, resource, object_id, kind, ours,"
            " created_at) values ('d', 'rec_done', 'customer', 'cus_1', 'differs', $1, now() - "
            "$2::interval) on conflict do nothing",
            '{"email": "ann@example.com"}',
            timedelta(days=days),
        )
        assert await retention.retain(world.ctx) == NOTHING | {what: 1}
    assert [row["id"] for row in await world.rows("select id from reconciliations")] == ["rec_due"]
    assert await world.rows("select 1 from reconciliation_drift") == []


async def test_an_idempotency_key_goes_once_it_may_be_used_anew(world: World) -> None:
    booking = await priced_booking(world)
    headers = world.bearer("u-1") | {"Idempotency-Key": "mine"}
    body = {"booking_id": booking["id"], "payment_type": "deposit"}
    path = "/api/v1/stripe/create-payment-intent"
    assert (await world.api.post(path, json=body, headers=headers)).status_code == 200
    assert (await retention.retain(world.ctx))["idempotency keys"] == 0
    world.clock.ahead = timedelta(hours=24, minutes=1)
    assert (await retention.retain(world.ctx))["idempotency keys"] == 1
    assert await world.rows("select 1 from idempotency_keys") == []


@pytest.mark.parametrize(
    "changes", [{"retention_events_days": 30}, {"retention_bodies_days": 0}], ids=str
)
def test_an_event_is_never_forgotten_while_stripe_may_send_it_again(
    changes: dict[str, int],
) -> None:
    with pytest.raises(ValidationError, match="greater than or equal"):
        settings("postgresql://x/y", **changes)


def test_it_is_due_every_night() -> None:
    noon = timedelta(hours=12)
    due = retention.CHORE.due_after(EPOCH + noon, UTC)
    assert due == EPOCH + timedelta(days=1, hours=3, minutes=30)


async def test_the_command_counts_and_then_does_it(world: World) -> None:
    await paid_at_stripe(world, await priced_booking(world))
    await world.converge()
    await age(world, EVENTS)
    assert world.settings.database_url is not None
    env = {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "SECRET_KEY": KEY,
    }
    counted = (await run("retention", "--dry-run", **env)).output.splitlines()
    assert counted[-1] == "nothing was changed"
    assert await bodies(world) != {}
    assert (await run("retention", **env)).output.splitlines() == counted[:-1]
    assert await bodies(world) == {}
