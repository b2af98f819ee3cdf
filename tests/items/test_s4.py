"""The items of S4: the commands that its `task payments:…` are here, and its yearly plan."""

import asyncio
from datetime import datetime, timedelta

from items.commands import command
from items.conftest import catch_up
from service.plans import pay, subscribe, subscribed
from service.variants import listening
from world import Json, World

ENTERPRISE = 119_900
"""What `enterprise_sub` of the shipped catalogue costs a year."""


async def beside(shop: World, *arguments: str) -> str:
    """What a command says while Stripe delivers and a worker works."""
    task = asyncio.create_task(command(shop, *arguments))
    while not task.done():
        await catch_up(shop)
        await asyncio.wait([task], timeout=0.1)
    return task.result()


async def seen(shop: World, of: Json, user: str) -> Json:
    return await shop.ask("GET", f"/stripe/subscriptions/{of['id']}", user=user)


async def test_4_4_products_are_created_by_the_command_of_the_document(shop: World) -> None:
    assert "Nothing to change" in await command(shop, "products-create")
    [entry] = (await shop.at_stripe("GET", "/v1/prices?lookup_keys[0]=pro"))["data"]
    await shop.at_stripe("POST", f"/v1/products/{entry['product']}", active="false")
    assert "0 created, 1 updated, 0 archived." in await command(shop, "products-create")


async def test_4_5_the_integration_is_tested_against_stripe(shop: World) -> None:
    told = await beside(shop, "test-integration", "--yes")
    for step in ("Customer", "Payment", "Refund", "Subscription", "Webhook", "Clean up"):
        assert f"✓ {step}" in told


async def test_4_6_a_subscription_is_canceled_by_e_mail_address(shop: World) -> None:
    paid = await subscribed(shop, "pro", user="u-46")
    told = await command(shop, "cancel-subscription", "u-46@example.com", "--yes")
    assert "Pro Plan, $29.99 each month" in told
    ending = await seen(shop, paid, "u-46")
    assert (ending["status"], ending["cancel_at_period_end"]) == ("active", True)


async def test_4_7_a_plan_is_changed_by_e_mail_address(shop: World) -> None:
    paid = await subscribed(shop, "starter", user="u-47")
    told = await command(shop, "change-plan", "u-47@example.com", "--plan", "pro", "--yes")
    assert "is charged at once" in told
    [plan] = (await seen(shop, paid, "u-47"))["plans"]
    assert (plan["tier"], plan["amount"]) == ("pro", "$29.99")


async def test_4_8_a_failed_payment_is_retried(shop: World) -> None:
    made = await subscribe(shop, "pro", user="u-48")
    await catch_up(shop)
    found = await shop.at_stripe("GET", f"/v1/subscriptions/{made['id']}")
    card = "/v1/payment_methods/pm_card_visa/attach"
    method = await shop.at_stripe("POST", card, customer=found["customer"])
    path = f"/v1/subscriptions/{made['id']}"
    await shop.at_stripe("POST", path, default_payment_method=method["id"])
    told = await command(shop, "retry-payment", made["id"], "--yes")
    assert f"Collect $29.99 by {found['latest_invoice']}" in told
    assert (await seen(shop, made, "u-48"))["status"] == "active"


async def test_4_9_the_webhook_is_tested_as_far_as_the_worker(shop: World) -> None:
    async with listening(shop.app) as api:
        told = await beside(shop, "test-webhooks", "--url", f"{api}/api/payments/webhook")
    assert "✓ secret" in told
    assert "✓ worker: applied" in told


async def test_4_10_the_log_of_a_day_is_reviewed(shop: World) -> None:
    await shop.at_stripe("POST", "/v1/customers", name="Jane")
    await catch_up(shop)
    told = await command(shop, "logs", "--last-24h", "--type", "customer.created")
    assert "applied" in told.splitlines()[0]
    assert "customer.created  cus_" in told.splitlines()[0]


async def test_4_13_a_front_end_names_a_product_and_sends_its_customer_there(shop: World) -> None:
    body = {"product_id": "credits_100", "success_url": "https://shop.example/thanks"}
    page = await shop.ask("POST", "/stripe/create-checkout-session", body, user="u-413")
    assert page["url"] == page["checkout_url"]
    state = f"/stripe/checkout-sessions/{page['session_id']}"
    assert (await shop.ask("GET", state, user="u-413"))["paid"] is False
    await shop.pay(page)
    await catch_up(shop)
    assert (await shop.ask("GET", state, user="u-413"))["paid"] is True


async def test_4_14_a_yearly_plan_is_tried_billed_enlarged_and_canceled(shop: World) -> None:
    user = "u-414"
    clock = await yearly_customer(shop, user)
    body = {"product_id": "enterprise_sub", "user_id": user, "trial_days": 14}
    made = await shop.ask("POST", "/stripe/create-subscription", body, role="service", user="shop")
    await pay(shop, made)
    await catch_up(shop)
    trial = await seen(shop, made, user)
    assert (trial["status"], trial["entitled"]) == ("trialing", True)
    [plan] = trial["plans"]
    assert (plan["interval"], plan["unit_amount"], plan["tier"]) == (
        "year", ENTERPRISE, "enterprise",
    )  # fmt: skip

    await advance(shop, clock, timedelta(days=15))
    billed = await seen(shop, made, user)
    assert billed["status"] == "active"
    began, ends = (
        datetime.fromisoformat(billed[f"current_period_{at}"]) for at in ("start", "end")
    )
    assert (ends.year - began.year, ends.month, ends.day) == (1, began.month, began.day)
    assert await paid_last(shop, made) == ENTERPRISE

    await advance(shop, clock, timedelta(days=182))
    path = f"/stripe/subscriptions/{made['id']}"
    change = {"product_id": "enterprise_sub", "quantity": 2}
    shown = await shop.ask("POST", f"{path}/change-plan", {**change, "preview": True}, user=user)
    left = (ends - shop.clock.now()) / (ends - began)
    assert abs(shown["amount_cents"] - ENTERPRISE * left) < ENTERPRISE / 1000
    await shop.ask(
        "POST", f"{path}/change-plan", {**change, "proration_date": shown["proration_date"]},
        user=user,
    )  # fmt: skip
    assert await paid_last(shop, made) == shown["amount_due_cents"]

    await shop.ask("DELETE", path, user=user)
    assert (await seen(shop, made, user))["entitled"] is True
    await advance(shop, clock, timedelta(days=190))
    ended = await seen(shop, made, user)
    assert (ended["status"], ended["entitled"]) == ("canceled", False)
    assert await paid_last(shop, made) == shown["amount_due_cents"], "no renewal was billed"


async def yearly_customer(shop: World, user: str) -> Json:
    """A customer with a card, whose time is a test clock's."""
    start = int(shop.clock.now().timestamp())
    clock = await shop.at_stripe("POST", "/v1/test_helpers/test_clocks", frozen_time=start)
    card: Json = {"payment_method": "pm_card_visa", "test_clock": clock["id"]}
    card["invoice_settings[default_payment_method]"] = "pm_card_visa"
    customer = await shop.at_stripe("POST", "/v1/customers", **card)
    link = {"stripe_customer_id": customer["id"]}
    await shop.ask("PUT", f"/customers/{user}", link, role="service")
    return clock


async def advance(shop: World, clock: Json, by: timedelta) -> None:
    """Let time pass, at Stripe and here."""
    shop.clock.ahead += by
    to = int(shop.clock.now().timestamp())
    path = f"/v1/test_helpers/test_clocks/{clock['id']}/advance"
    await shop.at_stripe("POST", path, frozen_time=to)
    await shop.settle()
    await catch_up(shop)


async def paid_last(shop: World, of: Json) -> int:
    """What the newest invoice of a subscription was paid with."""
    path = f"/v1/invoices?subscription={of['id']}&limit=1"
    [newest] = (await shop.at_stripe("GET", path))["data"]
    assert newest["status"] == "paid"
    return int(newest["amount_paid"])


async def test_4_18_the_documents_checklist_can_be_walked(shop: World) -> None:
    shop.clock.ahead = timedelta()

    async def open_page(product: str) -> Json:
        path = "/stripe/create-checkout-session"
        return await shop.ask("POST", path, {"product_id": product}, user="u-418")

    pack = await open_page("credits_100")
    await shop.pay(pack, "pm_card_chargeDeclined", status=402)
    await shop.pay(pack)
    await shop.pay(await open_page("pro"))
    await catch_up(shop)
    path = "/financial/subscriptions/u-418/summary"
    had = await shop.ask("GET", path, user="u-418")
    assert (had["status"], had["credits"]) == ("active", 1_100)

    link = await shop.ask("POST", "/stripe/portal-link", {}, user="u-418")
    [plan] = had["subscriptions"]
    pressed = {"action": "cancel", "subscription": plan["id"]}
    assert (await shop.stripe.post(link["url"], data=pressed)).is_redirect
    await catch_up(shop)
    assert (await shop.ask("GET", path, user="u-418"))["cancel_at_period_end"] is True
