"""GET /stripe/products, and what a product's metadata says."""

from typing import Any

import pytest

from payments.core import telemetry
from payments.domains.catalog.facts import read_facts
from payments.domains.catalog.sync_file import Entry
from service.accounts import sell
from world import Json, World

S2_PACK = {
    "credit_amount": "100",
    "credit_type": "payg",
    "feature_flags": "ai_generation,image_processing",
}


async def products(world: World) -> dict[str, Json]:
    listed = await world.ask("GET", "/stripe/products")
    return {product["id"]: product for product in listed["data"]}


async def test_a_product_shows_what_its_metadata_says(world: World) -> None:
    pack = Entry(key="art", name="Art", unit_amount=1000, currency="usd", metadata=S2_PACK)
    await sell(world, pack)
    shown = (await products(world))["payments_art"]
    assert (shown["credits"], shown["credit_type"]) == (100, "payg")
    assert shown["feature_flags"] == ["ai_generation", "image_processing"]
    assert (shown["plan_tier"], shown["plan_group"]) == (None, None)
    assert shown["metadata"].items() >= S2_PACK.items()


async def test_a_plan_made_in_the_dashboard_shows_its_interval_and_its_default_price(
    world: World,
) -> None:
    facts: Any = {"metadata[plan_tier]": "pro", "metadata[plan_group]": "plans"}
    facts["metadata[trial_days]"] = "14"
    price: Any = {
        "default_price_data[currency]": "usd",
        "default_price_data[unit_amount]": "2999",
        "default_price_data[recurring][interval]": "month",
        "default_price_data[recurring][interval_count]": "3",
    }
    made = await world.at_stripe("POST", "/v1/products", name="Pro Plan", **facts, **price)
    await world.converge()
    shown = (await products(world))[made["id"]]
    told = (shown["plan_tier"], shown["plan_group"], shown["trial_days"])
    assert told == ("pro", "plans", 14)
    assert shown["default_price"] == made["default_price"]
    [only] = shown["prices"]
    assert only["id"] == made["default_price"]
    assert (only["unit_amount"], only["currency"], only["type"]) == (2999, "usd", "recurring")
    assert (only["interval"], only["interval_count"]) == ("month", 3)


@pytest.mark.parametrize(
    ("metadata", "credits", "kind", "flags", "told"),
    [
        (None, 0, "payg", (), []),
        ({"credit_amount": ""}, 0, "payg", (), []),
        ({"credit_amount": " 1000 ", "credit_type": "subscription"}, 1000, "subscription", (), []),
        ({"feature_flags": " a, ,b.c,a"}, 0, "payg", ("a", "b.c"), []),
        ({"credit_amount": "many"}, None, "payg", (), ["credit_amount"]),
        ({"credit_amount": "-5"}, None, "payg", (), ["credit_amount"]),
        ({"credit_amount": "1.5"}, None, "payg", (), ["credit_amount"]),
        ({"credit_amount": "9" * 10}, None, "payg", (), ["credit_amount"]),
        ({"credit_amount": "٣"}, None, "payg", (), ["credit_amount"]),
        ({"credit_type": "monthly"}, 0, "payg", (), ["credit_type"]),
        ({"trial_days": "two weeks"}, 0, "payg", (), ["trial_days"]),
        ({"feature_flags": "a b;c,d"}, 0, "payg", ("d",), ["feature_flags"]),
        ({"credit_amount": "x", "credit_type": "y"}, None, "payg", (), ["amount", "type"]),
    ],
)
def test_metadata_is_read_and_what_is_malformed_is_said(
    metadata: dict[str, str] | None,
    credits: int | None,
    kind: str,
    flags: tuple[str, ...],
    told: list[str],
) -> None:
    facts = read_facts(metadata)
    assert (facts.credits, facts.credit_type, facts.feature_flags) == (credits, kind, flags)
    assert len(facts.problems) == len(told)
    for word, problem in zip(told, facts.problems, strict=True):
        assert word in problem


async def test_a_malformed_product_alerts_is_shown_and_changes_nothing_else(world: World) -> None:
    odd: Any = {"metadata[credit_amount]": "many"}
    made = await world.at_stripe("POST", "/v1/products", name="Odd", **odd)
    counter = telemetry.ALERTS.labels(kind="product_metadata")
    before = counter._value.get()
    await world.converge()
    assert counter._value.get() > before
    found = await products(world)
    assert found[made["id"]]["credits"] is None
    assert "payments_menu_adult" in found
    assert await world.rows("select id from stripe_events where outcome is null") == []
