"""Plans under attack: credits for nothing or lost twice, an end that is none, Stripe away."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from converge.test_faults import fault
from payments.domains.subscriptions import summary
from service.accounts import ensure_sound, spend
from service.members import Member, credit_plan
from service.plans import catch_up, shelve, subscribe, subscribed
from world import Json, World


@pytest_asyncio.fixture(autouse=True)
async def sound(world: World) -> AsyncIterator[None]:
    yield
    await ensure_sound(world)


async def yearly(world: World, silver: Json) -> None:
    """The same product by the year, as `silver_yearly`."""
    form: Json = {"product": silver["product"], "currency": "usd", "unit_amount": 20_000}
    form |= {"recurring[interval]": "year", "lookup_key": "silver_yearly"}
    await world.at_stripe("POST", "/v1/prices", **form)
    await catch_up(world)


async def change(member: Member, made: Json, **body: object) -> None:
    path = f"/stripe/subscriptions/{made['id']}/change-plan"
    await member.world.ask("POST", path, body)
    await member.hear()


async def rest(member: Member, made: Json) -> None:
    """Pause the plan, and go on with it a day later."""
    path = f"/stripe/subscriptions/{made['id']}"
    await member.world.ask("POST", f"{path}/pause")
    await member.hear()
    await member.go_on(days=1)
    await member.world.ask("POST", f"{path}/resume")
    await member.hear()


async def use_all(member: Member) -> int:
    if left := await member.balance():
        await spend(member.world, left, user=member.user)
    return left


async def test_pausing_and_resuming_brings_no_credits_for_nothing(world: World) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world))
    assert await use_all(member) == 100
    for _ in range(3):
        await rest(member, made)
        assert await use_all(member) == 0
    assert sum(invoice["amount_paid"] for invoice in await member.invoices()) == 2_000


async def test_pausing_costs_none_of_the_credits_that_follow(world: World) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world))
    await spend(world, 30)
    await member.go_on(days=15)
    await rest(member, made)
    await world.ask("POST", f"/stripe/subscriptions/{made['id']}/retry-payment")
    await member.hear()
    assert await member.balance() == 100, "less was used than was paid for until then"


async def test_changing_to_the_year_and_back_brings_no_credits_for_nothing(world: World) -> None:
    member = await Member.join(world)
    silver = await credit_plan(world)
    await yearly(world, silver)
    made = await member.subscribe(silver)
    used = await use_all(member)
    for key in ("silver_yearly", "silver") * 3:
        await member.go_on(days=1)
        await change(member, made, product_id=key)
        used += await use_all(member)
    assert used < 120, "a week of it is worth a quarter of one plan's"


async def test_seats_that_are_given_back_take_their_credits_along(world: World) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world), **{"items[0][quantity]": 10})
    assert await member.balance() == 1_000
    await change(member, made, product_id="silver", quantity=1)
    assert await member.balance() == 100
    await change(member, made, product_id="silver", quantity=10)
    assert await member.balance() == 1_000, "they were paid for again"


async def test_a_better_plan_takes_nothing_although_the_old_one_is_credited(world: World) -> None:
    member = await Member.join(world)
    made = await member.subscribe(await credit_plan(world))
    await credit_plan(world, "gold", 5_000, credit_amount="300")
    await member.go_on(days=10)
    await change(member, made, product_id="gold")
    assert await member.balance() == 100
    await member.go_on(days=5)
    await change(member, made, product_id="silver")
    assert await member.balance() == 100, "what gold has cost is more than what silver was credited"


async def test_what_ran_out_unused_is_not_lost_a_second_time_by_a_refund(world: World) -> None:
    member = await Member.join(world)
    await member.subscribe(await credit_plan(world))
    await spend(world, 30)
    await member.go_on(days=32)
    [_, first] = await member.invoices()
    await member.refund(first, amount=1_000)
    assert await member.balance() == 100, "50 were to be given back, 70 had run out"
    await member.refund(first)
    assert await member.balance() == 70


@pytest.mark.parametrize("evidence", ["winning_evidence", "losing_evidence"])
async def test_a_dispute_that_is_decided_after_the_end_of_its_lot_leaves_the_next_one_alone(
    world: World, evidence: str
) -> None:
    member = await Member.join(world, card="pm_card_createDispute")
    await member.subscribe(await credit_plan(world))
    assert await member.balance() == 0
    await member.use_card("pm_card_visa")
    await member.go_on(days=32)
    assert await member.balance() == 100
    [dispute] = (await world.at_stripe("GET", "/v1/disputes"))["data"]
    form: Json = {"evidence[uncategorized_text]": evidence, "submit": "true"}
    await world.at_stripe("POST", f"/v1/disputes/{dispute['id']}", **form)
    await world.settle()
    await member.hear()
    assert await member.balance() == 100


SUMMARY = "/financial/subscriptions/u-1/summary"


@pytest.mark.parametrize("away", [{"cut": True}, {"status": 500}, {"status": 429}])
async def test_a_plan_is_told_without_stripe_all_but_its_next_invoice(
    world: World, away: Json
) -> None:
    await shelve(world)
    paid = await subscribed(world)
    whole = await world.ask("GET", SUMMARY)
    assert whole["next_invoice_missing"] is None
    await fault(world, path="/v1/", times=99, **away)
    found = await world.ask("GET", SUMMARY)
    assert found["entitlements"] == ["ai_generation", "export"]
    assert found == whole | {"next_invoice": None, "next_invoice_missing": "stripe_away"}
    await world.stripe.delete("/_sandbox/faults")
    await world.ask("DELETE", f"/stripe/subscriptions/{paid['id']}")
    ending = await world.ask("GET", SUMMARY)
    assert (ending["next_invoice"], ending["next_invoice_missing"]) == (None, "nothing_follows")
    nobody = await world.ask("GET", "/financial/subscriptions/u-9/summary", user="u-9")
    assert nobody["next_invoice_missing"] == "nothing_follows"


async def test_a_plan_is_told_while_stripe_takes_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelve(world)
    await subscribed(world)
    monkeypatch.setattr(summary, "PATIENCE_SECONDS", 0.05)
    await fault(world, path="/v1/invoices/create_preview", delay_seconds=30)
    found = await world.ask("GET", SUMMARY)
    assert (found["entitled"], found["next_invoice_missing"]) == (True, "stripe_away")


async def test_a_form_that_was_put_aside_is_no_plan_that_has_ended(world: World) -> None:
    await shelve(world)
    first = await subscribe(world, "silver")
    await subscribe(world, "gold")
    await catch_up(world)
    mirrored = await world.rows(
        "select status from stripe.subscriptions where id = $1", first["id"]
    )
    assert [row["status"] for row in mirrored] == ["canceled"]
    assert await world.rows("select template from outbox") == []
