"""A webhook secret is rolled without losing a delivery, and it is known which one is in use."""

from pydantic import SecretStr

from payments.stripe_api.signatures import fingerprint
from payments.sync.secrets import last_uses
from service.variants import application, served
from world import SECRET, World

NEW = "whsec_test_of_the_new_endpoint"


async def test_a_roll_loses_nothing_and_shows_when_the_new_secret_is_in_use(world: World) -> None:
    events = await world.events()
    async with served(application(world, stripe_webhook_secret_2=SecretStr(NEW))) as api:
        world.api = api
        for event, secret in zip(events[:4], (SECRET, NEW, SECRET, NEW), strict=True):
            assert (await world.deliver(event, secret)).status_code == 200
    uses = await last_uses(world.ctx.db)
    assert set(uses) == {fingerprint(SECRET), fingerprint(NEW)}

    async with served(application(world, stripe_webhook_secret=SecretStr(NEW))) as api:
        world.api = api
        assert (await world.deliver(events[4], NEW)).status_code == 200
        assert (await world.deliver(events[5], SECRET)).status_code == 400
    later = await last_uses(world.ctx.db)
    assert later[fingerprint(NEW)] > uses[fingerprint(NEW)]
    assert later[fingerprint(SECRET)] == uses[fingerprint(SECRET)]
    kept = {row["id"] for row in await world.rows("select id from stripe_events")}
    assert kept == {event["id"] for event in events[:5]}


async def test_the_metrics_name_a_secret_by_its_fingerprint_alone(world: World) -> None:
    [event] = (await world.events())[:1]
    await world.deliver(event)
    shown = await world.api.get("/metrics", headers=world.bearer(role="admin"))
    name = fingerprint(SECRET)
    assert f'payments_webhook_secret_used_timestamp_seconds{{secret="{name}"}}' in shown.text
    assert SECRET not in shown.text


async def test_a_note_that_cannot_be_written_costs_no_delivery(world: World) -> None:
    await world.db.execute("alter table webhook_secrets rename to hidden")
    try:
        for event in (await world.events())[:2]:
            assert (await world.deliver(event)).status_code == 200
            await world.ctx.secret_uses.aclose()
    finally:
        await world.db.execute("alter table hidden rename to webhook_secrets")
    [event] = (await world.events())[2:3]
    await world.deliver(event)
    await world.ctx.secret_uses.aclose()
    assert set(await last_uses(world.ctx.db)) == {fingerprint(SECRET)}
