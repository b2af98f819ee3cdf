"""The items of S0, Stripe-native integration; docs/ITEMS.md lists them all."""

import re
from datetime import timedelta

from items.conftest import Stories
from items.documents import GUIDE, ROOT, anchors, dead_links, section
from payments.domains.analytics import DAYS
from payments.stripe_api.service import EVENT_TYPES, StripeService
from world import DEPOSIT, TOTAL, World


async def columns(shop: World, *tables: str) -> dict[str, set[str]]:
    """The columns of these tables, or of all."""
    found: dict[str, set[str]] = {}
    for table, column in await shop.rows(
        "select table_name, column_name from information_schema.columns "
        "where table_schema in ('public', 'stripe')"
    ):
        if not tables or table in tables:
            found.setdefault(table, set()).add(column)
    return found


def test_0_1_the_document_has_every_section() -> None:
    text = GUIDE.read_text()
    for word in ("Status", "Last updated", "Decision", "Philosophy"):
        assert f"**{word}:**" in text
    assert anchors(GUIDE) >= {
        "architecture-decision", "what-we-use-from-stripe", "what-is-not-built-here",
        "current-implementation", "analytics-workflow", "webhook-processing", "benefits",
        "before-and-after", "resources", "summary",
    }  # fmt: skip


def test_0_2_its_links_lead_to_our_pages_and_to_stripes() -> None:
    for path in (GUIDE, ROOT / "README.md", ROOT / "ARCHITECTURE.md"):
        assert list(dead_links(path)) == []
    resources = section(GUIDE, "Resources")
    for target in (
        "(ARCHITECTURE.md)", "localhost:8000/docs", "(README.md#payments-stripe)",
        "https://docs.stripe.com/webhooks", "https://support.stripe.com/",
    ):  # fmt: skip
        assert target in resources


async def test_0_3_the_long_analyses_are_links_to_the_dashboard(shop: World) -> None:
    found = await shop.ask("GET", "/stripe/analytics/payments", role="admin")
    for page in ("analytics", "reports", "customers"):
        assert found["links"][page] == f"https://dashboard.stripe.com/test/{page}"
        assert f"https://dashboard.stripe.com/{page}" in GUIDE.read_text()


async def test_0_6_events_are_followed_under_names_that_stripe_sends(
    shop: World, stories: Stories
) -> None:
    followed = shop.ctx.sync.registry.by_event
    for name in (
        "checkout.session.completed", "payment_intent.succeeded", "payment_intent.payment_failed",
        "customer.created", "charge.dispute.created", "invoice.payment_succeeded",
    ):  # fmt: skip
        assert name in followed
    assert "payment_intent.failed" not in EVENT_TYPES
    outcomes = dict(await shop.rows("select type, outcome from stripe_events"))
    assert outcomes["checkout.session.completed"] == outcomes["customer.created"] == "applied"


async def test_0_7_customers_help_themselves_in_the_portal(shop: World, stories: Stories) -> None:
    link = await shop.ask("POST", "/stripe/portal-link", {})
    assert (await shop.stripe.get(link["url"])).status_code == 200
    [made] = (await shop.at_stripe("GET", "/v1/billing_portal/configurations"))["data"]
    for feature in ("customer_update", "payment_method_update", "invoice_history"):
        assert made["features"][feature]["enabled"]


async def test_0_8_the_page_is_stripes_and_takes_more_than_cards(shop: World) -> None:
    session = await shop.session(await shop.book(), payment_type="deposit")
    made = await shop.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert (made["ui_mode"], made["url"]) == ("hosted_page", session["url"])
    assert {"card", "us_bank_account"} <= set(made["payment_method_types"])


async def test_0_9_a_customer_is_stripes_and_one_row_here(shop: World, stories: Stories) -> None:
    link = await shop.ask("GET", "/customers/u-1")
    customer = await shop.at_stripe("GET", f"/v1/customers/{link['stripe_customer_id']}")
    assert (customer["email"], customer["metadata"]["user_id"]) == ("u-1@example.com", "u-1")
    mirror = (await columns(shop, "customers"))["customers"]
    common = {"id", "account", "livemode", "phase", "ticket", "deleted", "created_at", "updated_at"}
    assert mirror - common == {"email", "name"}


async def test_0_10_the_work_on_disputes_is_the_dashboards(shop: World) -> None:
    assert not [path for path in shop.app.openapi()["paths"] if "dispute" in path]
    assert "evidence" not in (await columns(shop, "disputes"))["disputes"]


async def test_0_12_the_service_is_a_minimal_wrapper(shop: World) -> None:
    said = StripeService.__doc__ or ""
    assert "Minimal wrapper" in said
    assert "We keep" in said
    assert "We leave to Stripe" in said

    booking = await shop.book()
    await shop.confirm(await shop.intent(booking, payment_type="full"))
    [event] = [
        event
        for event in await shop.events(type="payment_intent.succeeded")
        if event["data"]["object"]["metadata"]["reference"] == f"booking:{booking['id']}"
    ]
    await shop.ctx.stripe.process_webhook_event(event)
    assert (await shop.booking(booking))["state"] == "paid"

    now = shop.ctx.clock.now()
    await shop.settle()
    found = await shop.ctx.stripe.get_payment_analytics(
        start_date=now - timedelta(days=1), end_date=now + timedelta(days=1)
    )
    assert found.total_payments > 0


async def test_0_13_a_checkout_session_is_created_for_a_booking(shop: World) -> None:
    booking = await shop.book()
    session = await shop.session(booking, payment_type="deposit")
    made = await shop.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert (made["amount_total"], made["status"]) == (DEPOSIT, "open")
    assert made["client_reference_id"] == f"booking:{booking['id']}"


async def test_0_14_a_payment_intent_is_created_for_a_booking(shop: World) -> None:
    intent = await shop.intent(await shop.book(), payment_type="full")
    made = await shop.at_stripe("GET", f"/v1/payment_intents/{intent['id']}")
    assert (made["amount"], made["client_secret"]) == (TOTAL, intent["client_secret"])


async def test_0_15_payments_are_listed(shop: World, stories: Stories) -> None:
    listed = (await shop.ask("GET", "/stripe/payments"))["data"]
    assert stories.deposit.payment["id"] in [payment["id"] for payment in listed]


async def test_0_16_an_admin_refunds_a_payment(shop: World, stories: Stories) -> None:
    [refund] = stories.refunded.payment["refunds"]
    made = await shop.at_stripe("GET", f"/v1/refunds/{refund['id']}")
    assert (made["amount"], made["status"]) == (5000, "succeeded")
    assert stories.refunded.payment["status"] == "partially_refunded"


async def test_0_17_a_portal_link_is_of_ones_own_customer(shop: World, stories: Stories) -> None:
    link = await shop.ask("POST", "/stripe/portal-link", {})
    assert link["return_url"] == "https://shop.example"
    opened = (await shop.events(type="billing_portal.session.created"))[-1]["data"]["object"]
    customer = (await shop.ask("GET", "/customers/u-1"))["stripe_customer_id"]
    assert opened["customer"] == customer


async def test_0_18_the_webhook_takes_what_stripe_has_signed(shop: World, stories: Stories) -> None:
    event = (await shop.events(type="payment_intent.succeeded"))[0]
    assert (await shop.deliver(event)).status_code == 200
    assert (await shop.deliver(event, secret="whsec_of_somebody_else")).status_code == 400


async def test_0_19_a_payment_has_the_documents_columns(shop: World, stories: Stories) -> None:
    assert (await columns(shop, "payments"))["payments"] >= {
        "id", "booking_id", "stripe_payment_intent_id", "amount_cents", "status", "created_at",
        "updated_at",
    }  # fmt: skip
    id = stories.deposit.booking["id"]
    [row] = await shop.rows("select * from payments where booking_id = $1", id)
    assert (row["amount_cents"], row["status"]) == (DEPOSIT, "succeeded")
    assert row["stripe_payment_intent_id"] == row["id"]


async def test_0_20_no_card_evidence_or_aggregate_is_stored(shop: World, stories: Stories) -> None:
    found = await columns(shop)
    names = found.keys() | set[str]().union(*found.values())
    kept = r"card|last4|exp_|cvc|client_secret|evidence(?!_due_by)|analytics|lifetime"
    assert [name for name in names if re.search(kept, name)] == []
    bodies = await shop.rows("select convert_from(body, 'utf8') from stripe_events")
    assert not [body for (body,) in bodies if body and "_secret_" in body]


async def test_0_21_analytics_are_three_figures_and_links(shop: World, stories: Stories) -> None:
    found = await shop.ask("GET", "/stripe/analytics/payments", role="admin")
    ledger = (await shop.at_stripe("GET", "/v1/balance_transactions"))["data"]
    charges = [entry["amount"] for entry in ledger if entry["type"] == "charge"]
    assert (found["total_payments"], found["total_amount"]) == (len(charges), sum(charges))
    assert found["payment_methods"][0]["type"] == "card"
    assert found["links"]
    assert DAYS == 30


async def test_0_22_a_completed_session_links_its_payment_to_the_booking(stories: Stories) -> None:
    booking, payment = stories.deposit.booking, stories.deposit.payment
    assert payment["booking_id"] == booking["id"]
    assert (booking["state"], booking["paid_cents"]) == ("confirmed", DEPOSIT)


async def test_0_23_a_payment_that_succeeds_marks_its_booking_paid(stories: Stories) -> None:
    payment = stories.full.payment
    assert (payment["status"], payment["amount_cents"]) == ("succeeded", TOTAL)
    assert stories.full.booking["state"] == "paid"


async def test_0_24_a_payment_that_fails_is_shown_and_its_customer_told(stories: Stories) -> None:
    payment = stories.declined.payment
    assert payment["status"] == "failed"
    [told] = payment["messages"]
    assert (told["template"], told["audience"]) == ("payment_failed", "customer")


async def test_0_25_a_dispute_is_logged_and_the_admins_alerted(stories: Stories) -> None:
    payment = stories.disputed.payment
    assert payment["disputed"]
    [told] = payment["messages"]
    assert (told["template"], told["audience"]) == ("dispute", "admin")


async def test_0_26_what_nobody_follows_is_kept_and_answered_with_200(
    shop: World, stories: Stories
) -> None:
    strange = (await shop.events())[0] | {"id": "evt_strange", "type": "radar.early_warning"}
    assert (await shop.deliver(strange)).status_code == 200
    [row] = await shop.rows("select outcome from stripe_events where id = 'evt_strange'")
    assert row["outcome"] == "ignored"


def test_0_27_the_sizes_that_the_document_gives_are_true() -> None:
    said = re.findall(r"\(`(\w+)`\) \| about ([\d,]+) lines", section(GUIDE, "Size"))
    assert {name for name, _ in said} == {"stripe_api", "sync"}
    for name, figure in said:
        modules = (ROOT / "src/payments" / name).rglob("*.py")
        lines = sum(len(module.read_text().splitlines()) for module in modules)
        assert abs(lines - int(figure.replace(",", ""))) < lines / 5, f"{name} has {lines} lines"


def test_0_28_every_capability_has_its_place() -> None:
    for name in (
        "stripe_api/service.py", "domains/webhook.py", "domains/checkout/api.py",
        "domains/checkout/schemas.py", "domains/refunds/api.py", "domains/payments.py",
        "domains/portal/api.py", "domains/bookings/tables.py",
    ):  # fmt: skip
        assert (ROOT / "src/payments" / name).is_file()
