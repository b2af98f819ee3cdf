"""Subscriptions, invoices and their payments follow Stripe, whatever was lost on the way."""

from typing import Any

import orjson
import pytest

from converge.observing import give, plan_at_stripe, resource, row, take_ticket, wished
from converge.test_reconcile import apart, named, reconcile
from payments.domains.subscriptions.tables import entitled
from payments.sync.apply import apply
from payments.sync.observe import pages, perform
from payments.sync.reconcile import confirm
from world import Json, World


@pytest.mark.parametrize(
    ("status", "gives"),
    [
        *((status, True) for status in ("trialing", "active", "past_due")),
        *((status, False) for status in ("incomplete", "unpaid", "paused", "canceled")),
        ("incomplete_expired", False),
        ("a state that Stripe adds one day", False),
    ],
)
def test_a_plan_gives_what_it_promises_until_stripe_ends_it(status: str, *, gives: bool) -> None:
    assert entitled(status) is gives


async def test_a_plan_of_which_nothing_was_heard_is_named_and_healed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)
    plan = await plan_at_stripe(world)
    ended = await plan_at_stripe(world)
    await world.at_stripe("DELETE", f"/v1/subscriptions/{ended['id']}")
    lost = await apart(world)
    assert {"sub", "in", "inpay", "pi"} <= {id.split("_")[0] for id in lost}

    assert named(await reconcile(world)) == lost
    assert named(await reconcile(world, heal=True)) == lost
    assert await apart(world) == set()
    assert [(await row(world, sub))["status"] for sub in (plan, ended)] == ["active", "canceled"]


async def test_an_invoice_that_is_paid_stays_so_when_its_draft_arrives(world: World) -> None:
    plan = await plan_at_stripe(world)
    invoice = await world.at_stripe("GET", f"/v1/invoices/{plan['latest_invoice']}")
    await give(world, invoice)
    await give(world, invoice | {"status": "draft", "amount_paid": 0})
    found = await row(world, invoice)
    assert (found["status"], found["amount_paid"], found["subscription"]) == (
        "paid",
        2_000,
        plan["id"],
    )
    assert invoice["id"] not in await wished(world)


async def test_the_last_answer_about_a_plan_is_right(world: World) -> None:
    plan = await plan_at_stripe(world)
    earlier = await take_ticket(world)
    await give(world, plan | {"status": "past_due"}, ticket=await take_ticket(world))
    await give(world, plan, ticket=earlier)
    assert (await row(world, plan))["status"] == "past_due"
    assert await wished(world) == {plan["id"]}, "they differ, so Stripe is asked"


async def test_a_deleted_draft_is_a_tombstone_although_its_event_shows_it_whole(
    world: World,
) -> None:
    customer = await world.at_stripe("POST", "/v1/customers")
    draft = await world.at_stripe("POST", "/v1/invoices", customer=customer["id"])
    await world.at_stripe("DELETE", f"/v1/invoices/{draft['id']}")
    [event] = await world.events(type="invoice.deleted")
    await world.converge([event])
    found = await row(world, draft)
    assert (found["deleted"], found["status"]) == (True, None)


async def test_an_invoice_of_many_lines_is_the_same_however_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)
    items: Json = {}
    for n in range(1, 12):
        cost: Json = {"currency": "usd", "unit_amount": 100, "product_data[name]": f"Part {n}"}
        cost["recurring[interval]"] = "month"
        items[f"items[{n}][price]"] = (await world.at_stripe("POST", "/v1/prices", **cost))["id"]
    terms: Json = {"collection_method": "send_invoice", "days_until_due": 7}
    plan = await plan_at_stripe(world, **terms, **items)
    invoice = {"id": plan["latest_invoice"], "object": "invoice"}
    await world.at_stripe("POST", f"/v1/invoices/{invoice['id']}/finalize")
    invoices = resource(world, "invoice")
    paid: Any = {"paid_out_of_band": True}
    await perform(world.ctx.sync, invoices, lambda c: c.v1.invoices.pay_async(invoice["id"], paid))
    answered = await row(world, invoice)
    assert len(orjson.loads(answered["lines"])) == 12

    await world.converge()
    listed = [seen async for page in pages(world.ctx.sync, invoices) for seen in page]
    await apply(world.ctx.sync, listed)
    assert (await row(world, invoice))["lines"] == answered["lines"]
    assert named(await reconcile(world)) == set()
    await world.db.execute("delete from stripe.invoices")
    assert invoice["id"] in named(await reconcile(world, heal=True))
    assert (await row(world, invoice))["lines"] == answered["lines"]
