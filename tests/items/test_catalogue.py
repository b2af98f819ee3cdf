"""The items about products of all documents; docs/ITEMS.md lists them all."""

from typing import Any

from items.commands import command
from items.conftest import catch_up
from payments.domains.catalog.sync_file import SHIPPED, read
from service.accounts import sell
from service.variants import application, served
from world import Json, World

S2_PACK = {
    "metadata[credit_amount]": "100",
    "metadata[credit_type]": "payg",
    "metadata[feature_flags]": "ai_generation,image_processing",
    "default_price_data[currency]": "usd",
    "default_price_data[unit_amount]": "1000",
}
S2_PLAN = {
    "metadata[credit_amount]": "1000",
    "metadata[credit_type]": "subscription",
    "metadata[plan_tier]": "pro",
    "default_price_data[currency]": "usd",
    "default_price_data[unit_amount]": "2999",
    "default_price_data[recurring][interval]": "month",
    "default_price_data[recurring][interval_count]": "1",
}


async def made(shop: World, name: str, **form: Any) -> Json:
    """A product that somebody makes in the dashboard."""
    found = await shop.at_stripe("POST", "/v1/products", name=name, **form)
    await catch_up(shop)
    return found


async def product(shop: World, id: str) -> Json:
    """At the very address of the document, which has no version."""
    answer = await shop.api.get("/api/stripe/products", headers=shop.bearer())
    assert answer.status_code == 200, answer.text
    [found] = [each for each in answer.json()["data"] if each["id"] == id]
    return dict(found)


async def page_under(shop: World, **changes: Any) -> Json:
    """A Checkout page for a pack, as Stripe has it, under other settings."""
    async with served(application(shop, **changes)) as api:
        path, body = "/api/v1/stripe/create-checkout-session", {"product_id": "credits_100"}
        opened = await api.post(path, json=body, headers=shop.bearer())
    return await shop.at_stripe("GET", f"/v1/checkout/sessions/{opened.json()['session_id']}")


async def test_0_8_tax_and_promotion_codes_are_switched_on(shop: World) -> None:
    plain = await page_under(shop)
    assert (plain["automatic_tax"]["enabled"], bool(plain["allow_promotion_codes"])) == (0, 0)
    found = await page_under(shop, automatic_tax=True, promotion_codes=True)
    assert (found["automatic_tax"]["enabled"], found["allow_promotion_codes"]) == (True, True)


async def test_1_18_products_are_listed(shop: World) -> None:
    pro = await product(shop, "payments_pro")
    assert (pro["name"], pro["plan_tier"], pro["credits"]) == ("Pro Plan", "pro", 1000)


async def test_1_34_what_a_product_brings_is_configured_as_code_or_in_the_dashboard(
    shop: World,
) -> None:
    [pack] = [entry for entry in read(SHIPPED) if entry.key == "credits_500"]
    await sell(shop, pack.model_copy(update={"metadata": {"credit_amount": "600"}}))
    assert (await product(shop, "payments_credits_500"))["credits"] == 600
    changed: Any = {"metadata[credit_amount]": "700"}
    await shop.at_stripe("POST", "/v1/products/payments_credits_500", **changed)
    await catch_up(shop)
    assert (await product(shop, "payments_credits_500"))["credits"] == 700


async def test_2_3_metadata_and_default_price_are_read(shop: World) -> None:
    pack = await made(shop, "AI Credits - Starter Pack", **S2_PACK)
    found = await product(shop, pack["id"])
    assert (found["credits"], found["credit_type"]) == (100, "payg")
    assert found["feature_flags"] == ["ai_generation", "image_processing"]
    [price] = found["prices"]
    assert price["id"] == found["default_price"]
    assert (price["currency"], price["unit_amount"], price["interval"]) == ("usd", 1000, None)
    plan = await product(shop, (await made(shop, "Pro Plan", **S2_PLAN))["id"])
    assert (plan["credits"], plan["credit_type"]) == (1000, "subscription")
    assert plan["plan_tier"] == "pro"
    [price] = plan["prices"]
    assert (price["unit_amount"], price["interval"], price["interval_count"]) == (2999, "month", 1)


async def test_2_4_all_products_are_taken_over_at_once(shop: World) -> None:
    quiet = [
        (await shop.at_stripe("POST", "/v1/products", name=f"Print {number}"))["id"]
        for number in range(3)
    ]
    await command(shop, "catalog", "pull")
    for id in quiet:
        assert (await product(shop, id))["prices"] == []


async def test_2_5_a_product_is_taken_over_with_all_that_it_says(shop: World) -> None:
    found = await made(shop, "Art", description="A picture", **S2_PACK)
    shown = await product(shop, found["id"])
    for name in ("id", "name", "description", "metadata", "default_price"):
        assert shown[name] == found[name]
    renamed: Any = {"name": "Fine art", "description": "", "metadata[credit_amount]": "150"}
    await shop.at_stripe("POST", f"/v1/products/{found['id']}", **renamed)
    await catch_up(shop)
    shown = await product(shop, found["id"])
    assert (shown["name"], shown["description"], shown["credits"]) == ("Fine art", None, 150)
    await shop.at_stripe("POST", f"/v1/products/{found['id']}", active="false")
    await catch_up(shop)
    [row] = await shop.rows("select active from stripe.products where id = $1", found["id"])
    assert row["active"] is False


async def test_2_13_an_intent_costs_the_price_times_the_quantity_and_says_what_for(
    shop: World,
) -> None:
    pack = await made(shop, "AI Credits - Starter Pack", **S2_PACK)
    body = {"product_id": pack["id"], "quantity": 3}
    opened = await shop.ask("POST", "/stripe/create-payment-intent", body)
    intent = await shop.at_stripe("GET", f"/v1/payment_intents/{opened['id']}")
    link = await shop.ask("GET", "/customers/u-1")
    assert (intent["amount"], intent["currency"]) == (3000, "usd")
    assert intent["customer"] == link["stripe_customer_id"]
    named = {
        "user_id": "u-1", "product_id": pack["id"], "quantity": "3", "credit_amount": "300",
    }  # fmt: skip
    assert intent["metadata"].items() >= named.items()


async def test_3_7_automatic_tax_is_configurable_and_within_the_price(shop: World) -> None:
    found = await page_under(shop, automatic_tax=True)
    assert (found["automatic_tax"]["enabled"], found["amount_total"]) == (True, 1000)


async def test_4_2_setup_prints_the_prices_for_the_four_variables(shop: World) -> None:
    printed = await command(shop, "setup")
    for key in ("STARTER", "PRO", "PREMIUM_SUB", "ENTERPRISE_SUB"):
        prices = await shop.at_stripe("GET", f"/v1/prices?lookup_keys[0]={key.lower()}")
        [price] = prices["data"]
        assert f"\nSTRIPE_PRICE_{key}={price['id']}\n" in printed
        assert price["recurring"] is not None


async def test_4_4_the_products_are_created_and_then_unchanged(shop: World) -> None:
    await command(shop, "catalog", "apply")
    assert "Nothing to change" in await command(shop, "catalog", "apply")


async def test_4_12_a_page_is_opened_by_product_id(shop: World) -> None:
    path = "/stripe/create-checkout-session"
    opened = await shop.ask("POST", path, {"product_id": "credits_500"}, user="u-7")
    assert opened["checkout_url"] == opened["url"]
    assert opened.keys() >= {"session_id", "expires_at"}
    found = await shop.at_stripe("GET", f"/v1/checkout/sessions/{opened['session_id']}")
    front = "https://shop.example/payment"
    assert found["success_url"] == f"{front}/success?session_id={{CHECKOUT_SESSION_ID}}"
    assert (found["mode"], found["cancel_url"]) == ("payment", f"{front}/cancel")
    named = {"user_id": "u-7", "product_id": "payments_credits_500"}
    assert found["metadata"].items() >= named.items()
    customer = await shop.at_stripe("GET", f"/v1/customers/{found['customer']}")
    assert customer["email"] == "u-7@example.com"


async def test_4_15_a_product_is_bought_once_whatever_it_is(shop: World) -> None:
    poster = await made(shop, "A download", **{k: v for k, v in S2_PACK.items() if "price" in k})
    body = {"product_id": poster["id"]}
    session = await shop.ask("POST", "/stripe/create-checkout-session", body, user="u-9")
    await shop.pay(session)
    await catch_up(shop)
    [paid] = (await shop.ask("GET", "/stripe/payments", user="u-9"))["data"]
    assert (paid["status"], paid["amount_cents"]) == ("succeeded", 1000)
