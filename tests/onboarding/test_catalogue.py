"""`payments catalog`: the file, what Stripe has of it, and the mirrors."""

from pathlib import Path
from typing import Any

import pytest

from onboarding.commands import run
from payments.domains.catalog.sync_file import SHIPPED, read
from world import BOOKING, KEY, Json, World

Env = dict[str, str]

PLAN = """
[[product]]
key = "pro"
name = "Pro Plan"
unit_amount = {amount}
interval = "{interval}"
[product.metadata]
credit_amount = "1000"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The shipped catalogue, to be changed."""
    copy = tmp_path / "catalog.toml"
    copy.write_text(SHIPPED.read_text())
    return copy


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def price(world: World, key: str) -> Json:
    [found] = (await world.at_stripe("GET", f"/v1/prices?lookup_keys[0]={key}"))["data"]
    return dict(found)


async def product(world: World, key: str) -> Json:
    return await world.at_stripe("GET", f"/v1/products/payments_{key}")


async def test_applied_twice_the_second_changes_nothing_and_says_so(world: World, env: Env) -> None:
    before = await world.events()
    ran = await run("catalog", "apply", **env)
    assert ran.exit_code == 0, ran.output
    said = f"Nothing to change: {len(read(SHIPPED))} products are as the file says."
    assert ran.output.splitlines()[-1] == said
    assert await world.events() == before
    planned = await run("catalog", "plan", "--check", **env)
    assert (planned.exit_code, planned.output.splitlines()[-1]) == (0, said)


async def test_a_plan_says_what_apply_does_and_does_nothing(
    world: World, env: Env, file: Path
) -> None:
    old = await price(world, "pro")
    change(file, "unit_amount = 2999", "unit_amount = 3499")
    change(file, 'name = "Starter Plan"', 'name = "First Plan"')
    change(file, 'key = "credits_500"', 'key = "credits_600"')
    before = await world.events()
    planned = await run("catalog", "plan", str(file), **env)
    assert planned.exit_code == 0, planned.output
    assert (await run("catalog", "plan", str(file), "--check", **env)).exit_code == 2
    assert await world.events() == before

    lines = [line.strip() for line in planned.output.splitlines()]
    words = f"price: $29.99 / month → $34.99 / month; {old['id']} is archived"
    assert words in lines
    assert "name: Starter Plan → First Plan" in lines
    assert lines[-1] == "1 to create, 2 to update, 1 to archive."
    ran = await run("catalog", "apply", str(file), **env)
    assert words in [line.strip() for line in ran.output.splitlines()]
    assert ran.output.splitlines()[-1] == "1 created, 2 updated, 1 archived."
    assert (await run("catalog", "plan", str(file), "--check", **env)).exit_code == 0


async def test_a_price_that_changes_is_a_new_one_with_the_key_and_the_old_is_archived(
    world: World, env: Env, file: Path
) -> None:
    old = await price(world, "pro")
    change(file, "unit_amount = 2999", "unit_amount = 3499")
    assert (await run("catalog", "apply", str(file), **env)).exit_code == 0
    new = await price(world, "pro")
    assert (new["unit_amount"], new["active"], new["recurring"]["interval"]) == (
        3499,
        True,
        "month",
    )
    was = await world.at_stripe("GET", f"/v1/prices/{old['id']}")
    assert (was["active"], was["lookup_key"], was["unit_amount"]) == (False, None, 2999)
    assert (await product(world, "pro"))["default_price"] == new["id"]
    rows = await world.rows("select id, active, lookup_key from stripe.prices order by active")
    kept = {row["id"]: (row["active"], row["lookup_key"]) for row in rows}
    assert (kept[old["id"]], kept[new["id"]]) == ((False, None), (True, "pro"))


async def test_another_interval_is_another_price(world: World, env: Env, tmp_path: Path) -> None:
    file = tmp_path / "plans.toml"
    seen = set()
    for interval in ("month", "year", "month"):
        file.write_text(PLAN.format(amount=2999, interval=interval))
        assert (await run("catalog", "apply", str(file), **env)).exit_code == 0
        found = await price(world, "pro")
        assert found["recurring"]["interval"] == interval
        seen.add(found["id"])
    assert len(seen) == 3


async def test_what_a_file_no_longer_names_is_archived_and_comes_back_as_it_was(
    world: World, env: Env, file: Path
) -> None:
    await world.at_stripe("POST", "/v1/products", name="Of the dashboard")
    sold = await price(world, "menu_kids")
    change(file, 'key = "menu_kids"', 'key = "menu_children"')
    ran = await run("catalog", "apply", str(file), **env)
    assert "archived   menu_kids" in ran.output
    assert (await product(world, "menu_kids"))["active"] is False
    names = {row["name"] for row in (await world.ask("GET", "/stripe/products"))["data"]}
    assert "Of the dashboard" not in names, "it has not been heard of yet"
    dashboard = (await world.at_stripe("GET", "/v1/products?active=true"))["data"]
    assert "Of the dashboard" in {row["name"] for row in dashboard}
    body = {"menu": "kids"}
    await world.ask("POST", "/bookings", BOOKING | body, status=422)

    ran = await run("catalog", "apply", **env)
    assert "archived → on sale" in ran.output
    assert (await price(world, "menu_kids"))["id"] == sold["id"]
    await world.ask("POST", "/bookings", BOOKING | body, status=201)


async def test_a_fact_that_is_left_out_stays_and_an_empty_one_is_removed(
    world: World, env: Env, file: Path
) -> None:
    change(file, 'plan_tier = "pro"\n', "")
    assert "Nothing to change" in (await run("catalog", "apply", str(file), **env)).output
    change(file, 'plan_tier = "premium"', 'plan_tier = ""')
    applied = await run("catalog", "apply", str(file), **env)
    assert "plan_tier: premium → none" in applied.output
    assert "plan_tier" not in (await product(world, "premium_sub"))["metadata"]
    assert "Nothing to change" in (await run("catalog", "apply", str(file), **env)).output


async def test_a_lookup_key_of_another_product_is_taken_and_its_price_left(
    world: World, env: Env, tmp_path: Path
) -> None:
    form: Any = {"product_data[name]": "Theirs", "currency": "usd", "unit_amount": "700"}
    theirs = await world.at_stripe("POST", "/v1/prices", lookup_key="poster", **form)
    file = tmp_path / "catalog.toml"
    file.write_text('[[product]]\nkey = "poster"\nname = "A poster"\nunit_amount = 900\n')
    planned = await run("catalog", "plan", str(file), **env)
    assert f"{theirs['id']} of {theirs['product']} goes on without its key" in planned.output
    await run("catalog", "apply", str(file), **env)
    assert (await price(world, "poster"))["unit_amount"] == 900
    left = await world.at_stripe("GET", f"/v1/prices/{theirs['id']}")
    assert (left["active"], left["lookup_key"]) == (True, None)


async def test_what_the_dashboard_garbles_is_said_by_plan(world: World, env: Env) -> None:
    odd: Any = {"metadata[credit_amount]": "lots"}
    made = await world.at_stripe("POST", "/v1/products", name="Odd", **odd)
    planned = await run("catalog", "plan", **env)
    assert f"malformed  {made['id']}: credit_amount is 'lots'" in planned.output
    assert "Nothing to change" in planned.output


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('credit_amount = "1000"', 'credit_amount = "lots"', "pro: credit_amount is 'lots'"),
        ('credit_type = "payg"', 'credit_type = "gift"', "credits_100: credit_type is 'gift'"),
        ('interval = "year"', 'interval = "year"\ninterval_count = 4', "enterprise_sub: interval"),
        ("unit_amount = 8500", "unit_amount = 8500\ninterval_count = 2", "menu_premium: interval"),
        ('interval = "year"', 'interval = "decade"', "interval"),
    ],
)
async def test_a_file_that_cannot_be_is_refused_by_name(
    world: World, env: Env, file: Path, old: str, new: str, told: str
) -> None:
    change(file, old, new)
    for command in ("plan", "apply"):
        ran = await run("catalog", command, str(file), **env)
        assert ran.exit_code not in (0, 2)
        assert told in ran.output


async def test_a_price_that_is_held_wins_over_the_lookup_key_and_is_told(
    world: World, env: Env, file: Path
) -> None:
    held = env | {"STRIPE_PRICE_PRO": (await price(world, "pro"))["id"]}
    assert "held" not in (await run("catalog", "plan", **held)).output
    change(file, "unit_amount = 2999", "unit_amount = 3499")
    ran = await run("catalog", "apply", str(file), **held)
    assert f"held       pro: STRIPE_PRICE_PRO={held['STRIPE_PRICE_PRO']} wins" in ran.output


async def test_pulling_writes_what_no_event_has_told(world: World, env: Env) -> None:
    made = await world.at_stripe("POST", "/v1/products", name="Art", description="A picture")
    form: Any = {"product": made["id"], "currency": "usd", "unit_amount": "700"}
    new = await world.at_stripe("POST", "/v1/prices", **form)
    await world.at_stripe("POST", f"/v1/products/{made['id']}", default_price=new["id"])
    await world.at_stripe("POST", "/v1/products/payments_pro", name="Pro, renamed")
    ran = await run("catalog", "pull", **env)
    assert ran.exit_code == 0, ran.output
    listed = len(read(SHIPPED)) + 1
    for kind in ("product", "price"):
        assert f"{kind:18}{listed} listed" in ran.output
    [row] = await world.rows("select * from stripe.products where id = $1", made["id"])
    assert (row["name"], row["description"], row["active"]) == ("Art", "A picture", True)
    assert row["default_price"] == new["id"]
    products = (await world.ask("GET", "/stripe/products"))["data"]
    assert "Pro, renamed" in {product["name"] for product in products}


async def test_a_product_that_cannot_be_written_is_named_and_the_others_are(
    world: World, env: Env
) -> None:
    await world.at_stripe("POST", "/v1/products/payments_pro", name="Unwritable")
    await world.at_stripe("POST", "/v1/products/payments_starter", name="Fine")
    await world.db.execute(
        "alter table stripe.products add constraint tried check (name <> 'Unwritable') not valid"
    )
    try:
        ran = await run("catalog", "pull", **env)
    finally:
        await world.db.execute("alter table stripe.products drop constraint tried")
    assert ran.exit_code == 1
    assert "not applied       payments_pro" in ran.output
    names = await world.rows("select name from stripe.products where id = 'payments_starter'")
    assert [row["name"] for row in names] == ["Fine"]


async def test_a_product_that_is_gone_asks_before_it_is_gone_here(world: World, env: Env) -> None:
    made = await world.at_stripe("POST", "/v1/products", name="Short-lived")
    await run("catalog", "pull", **env)
    await world.at_stripe("DELETE", f"/v1/products/{made['id']}")
    asked = await run("catalog", "pull", **env)
    assert asked.exit_code not in (0, None)
    assert "--yes-tombstone 1" in asked.output
    assert (await run("catalog", "pull", "--yes-tombstone", "1", **env)).exit_code == 0
    [row] = await world.rows("select deleted from stripe.products where id = $1", made["id"])
    assert row["deleted"] is True


async def test_a_live_key_is_looked_with_but_not_written_with_unasked() -> None:
    live = {
        "ENVIRONMENT": "production", "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        "STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x", "SECRET_KEY": KEY,
        "FRONTEND_URLS": "https://shop.example",
    }  # fmt: skip
    refused = await run("catalog", "apply", **live)
    assert "say --live if you mean it" in refused.output
    looked = await run("catalog", "plan", **live)
    assert "--live" not in looked.output


async def test_an_apply_that_was_cut_short_is_brought_to_its_end(
    world: World, env: Env, file: Path
) -> None:
    """Between product and price, and between the new price and the end of the old one."""
    old = await price(world, "pro")
    form: Any = {
        "product": "payments_pro", "currency": "usd", "unit_amount": 3499, "lookup_key": "pro",
        "recurring[interval]": "month", "transfer_lookup_key": "true",
    }  # fmt: skip
    cut = await world.at_stripe("POST", "/v1/prices", **form)
    bare: Any = {"id": "payments_bare", "metadata[app]": "payments", "metadata[key]": "bare"}
    await world.at_stripe("POST", "/v1/products", name="Bare", **bare)
    change(file, "unit_amount = 2999", "unit_amount = 3499")
    with file.open("a") as more:
        more.write('[[product]]\nkey = "bare"\nname = "Bare"\nunit_amount = 700\n')
    ran = await run("catalog", "apply", str(file), **env)
    assert "archived   payments_pro" in ran.output, ran.output
    assert (await world.at_stripe("GET", f"/v1/prices/{old['id']}"))["active"] is False
    assert (await product(world, "pro"))["default_price"] == cut["id"]
    assert (await price(world, "bare"))["product"] == "payments_bare"
    assert "Nothing to change" in (await run("catalog", "apply", str(file), **env)).output
