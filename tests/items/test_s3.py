"""The items of S3, a catering company's payments; docs/ITEMS.md lists them all."""

import re
import tomllib
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from items.conftest import Stories, catch_up, story
from items.documents import GUIDE, ROOT, section
from payments.core import migrations
from payments.domains.catalog.sync_file import SHIPPED, push, read
from payments.settings import Settings, UnsafeSettings, load
from service.variants import application, served
from world import BOOKING, DEPOSIT, TOTAL, Json, World


async def send(
    shop: World, method: str, path: str, body: Any = None, *, status: int = 200, role: Any = "user"
) -> Json:
    """Ask at the very addresses of the document, which have no version."""
    content = {"content": body} if isinstance(body, str) else {"json": body}
    headers = shop.bearer("u-1", role, "u-1@example.com") | {"Content-Type": "application/json"}
    answer = await shop.api.request(method, f"/api{path}", headers=headers, **content)
    assert answer.status_code == status, answer.text
    found: Json = answer.json() if answer.content else {}
    return found


async def relations(shop: World) -> set[str]:
    return {
        f"{schema}.{name}"
        for schema, name in await shop.rows(
            "select table_schema, table_name from information_schema.tables"
        )
    }


def test_3_1_checkout_intents_portal_and_webhooks_have_routes(shop: World) -> None:
    assert shop.app.openapi()["paths"].keys() >= {
        f"/api/v1/stripe/{name}"
        for name in ("create-checkout-session", "create-payment-intent", "portal-link", "webhook")
    }


async def test_3_2_deposit_balance_addons_and_the_full_price_are_paid(shop: World) -> None:
    parts, whole = await shop.book(), await shop.book()
    for booking, purpose in ((parts, "deposit"), (whole, "full")):
        await shop.confirm(await shop.intent(booking, payment_type=purpose))
    await catch_up(shop)
    await shop.confirm(await shop.intent(parts, payment_type="balance"))
    addon = {"booking_id": whole["id"], "payment_type": "addon", "amount": 2500}
    path = "/stripe/create-payment-intent"
    await shop.confirm(await shop.ask("POST", path, addon, role="service"))
    await catch_up(shop)
    paid = [await shop.booking(booking) for booking in (parts, whole)]
    assert [booking["state"] for booking in paid] == ["paid", "paid"]
    assert [booking["paid_cents"] for booking in paid] == [TOTAL, TOTAL + 2500]


async def test_3_3_a_customer_is_made_with_the_first_payment_and_kept(
    shop: World, stories: Stories
) -> None:
    customers = (await shop.at_stripe("GET", "/v1/customers"))["data"]
    assert [customer["metadata"]["user_id"] for customer in customers] == ["u-1"]


async def test_3_5_admins_refund_and_disputes_are_tracked(stories: Stories) -> None:
    [refund] = stories.refunded.payment["refunds"]
    assert (refund["amount_cents"], refund["status"]) == (5000, "succeeded")
    [dispute] = stories.disputed.payment["disputes"]
    assert dispute["status"] == "needs_response"
    assert dispute["evidence_due_by"]


async def test_3_8_events_and_acts_stay_written_down(shop: World, stories: Stories) -> None:
    counts = (
        "select count(*), count(body), count(done_at) from stripe_events where body is not null"
    )
    [(events, *kept)] = await shop.rows(counts)
    assert kept == [events, events]
    assert events == len(await shop.events())
    subject = stories.refunded.payment["id"]
    [entry] = await shop.rows("select * from audit_log where subject = $1", subject)
    assert (entry["actor"], entry["act"]) == ("boss", "refund.requested")
    assert entry["reason"] == "the cook was ill"


async def test_3_9_the_specification_is_published_and_tokens_are_needed(shop: World) -> None:
    assert (await shop.api.get("/openapi.json")).json()["openapi"].startswith("3.")
    assert (await shop.api.get("/api/stripe/payments")).status_code == 401
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[>]", each)[0] for each in needed}
    assert names >= {"alembic", "asyncpg", "fastapi", "pydantic", "pyjwt", "sqlalchemy", "stripe"}


def test_3_10_python_and_postgresql_are_enough() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert not [name for name in project["dependencies"] if "redis" in name or "celery" in name]


def test_3_12_the_example_has_the_documents_variables() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in (
        "DATABASE_URL", "DATABASE_URL_SYNC", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET",
        "STRIPE_PUBLISHABLE_KEY", "SECRET_KEY", "ENVIRONMENT", "SMTP_URL", "MAIL_FROM",
        "AUTOMATIC_TAX",
    ):  # fmt: skip
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name


async def test_3_13_alembic_finds_the_migrations_and_the_catalogue_is_set_up_once(
    shop: World,
) -> None:
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert scripts.get_current_head() == migrations.head()
    assert {done async for _, done in push(shop.ctx, read(SHIPPED))} == {"unchanged"}


async def test_3_14_the_documentation_is_at_docs(shop: World) -> None:
    page = await shop.api.get("/docs")
    assert page.status_code == 200
    assert "/openapi.json" in page.text


def test_3_15_the_guide_forwards_webhooks_to_a_laptop() -> None:
    steps = section(GUIDE, "Setting it up")
    assert re.search(r"stripe listen .*--forward-to localhost:8000/api/\S*stripe/webhook", steps)
    assert "stripe listen --print-secret" in steps


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        ("4242424242424242", "succeeded"),
        ("4000000000000002", "generic_decline"),
        ("4000002760003184", "requires_action"),
        ("4000000000009995", "insufficient_funds"),
    ],
)
async def test_3_16_the_test_cards_do_what_they_are_for(
    shop: World, number: str, ends: str
) -> None:
    intent = await shop.intent(await shop.book(), payment_type="full")
    card: Json = {"type": "card", "card[number]": number}
    card |= {"card[exp_month]": 12, "card[exp_year]": 2034}
    method = await shop.at_stripe("POST", "/v1/payment_methods", **card)
    answer = await shop.confirm(intent, method["id"], status=None)
    error = answer.get("error", {})
    assert ends in (answer.get("status"), error.get("decline_code"))


async def test_3_17_what_belongs_to_stripe_and_what_is_ours_has_tables(shop: World) -> None:
    assert await relations(shop) >= {
        "public.payments", "public.customer_links", "public.stripe_events", "stripe.customers",
        "stripe.products", "stripe.prices", "stripe.refunds", "stripe.disputes",
    }  # fmt: skip


async def test_3_18_payments_lead_to_customers_refunds_and_disputes(
    shop: World, stories: Stories
) -> None:
    [found] = await shop.rows(
        """
        select count(c.id) as customers, count(r.id) as refunds, count(d.id) as disputes
        from payments p left join stripe.customers c on c.id = p.customer
        left join stripe.refunds r on r.payment_intent = p.id
        left join stripe.disputes d on d.payment_intent = p.id
        where p.id in ($1, $2)
        """,
        stories.refunded.payment["id"],
        stories.disputed.payment["id"],
    )
    assert tuple(found) == (2, 1, 1)
    priced = "select 1 from stripe.prices p join stripe.products q on q.id = p.product "
    assert len(await shop.rows(f"{priced} where p.lookup_key is not null")) == len(read(SHIPPED))


async def test_3_19_a_session_is_created_from_line_items(shop: World) -> None:
    item = {"name": "Booking Deposit", "amount": 10000, "quantity": 1}
    body = {"booking_id": (await shop.book())["id"], "line_items": [item], "mode": "payment"}
    session = await send(shop, "POST", "/stripe/create-checkout-session", body)
    assert (session["amount_cents"], session["payment_type"]) == (DEPOSIT, "deposit")
    assert (await shop.stripe.get(session["url"])).status_code == 200


async def test_3_20_an_intent_gives_elements_their_secret(shop: World) -> None:
    body = {"booking_id": (await shop.book())["id"], "amount": 10000, "payment_type": "deposit"}
    intent = await send(shop, "POST", "/stripe/create-payment-intent", body)
    assert intent["client_secret"].startswith(f"{intent['id']}_secret_")


async def test_3_21_the_portal_has_a_link(shop: World) -> None:
    link = await send(shop, "POST", "/stripe/portal-link", {})
    assert (await shop.stripe.get(link["url"])).status_code == 200


async def test_3_22_the_webhook_answers_at_the_documents_address(shop: World) -> None:
    await send(shop, "POST", "/stripe/webhook", {}, status=400)


async def test_3_23_only_an_admin_may_refund(shop: World, stories: Stories) -> None:
    body = {"payment_id": stories.full.payment["id"], "amount_cents": 1}
    await send(shop, "POST", "/stripe/refund", body, status=403)


async def test_3_24_the_payments_of_a_booking_are_listed(shop: World, stories: Stories) -> None:
    booking = stories.deposit.booking["id"]
    [payment] = (await send(shop, "GET", f"/stripe/payments?booking_id={booking}"))["data"]
    assert payment["id"] == stories.deposit.payment["id"]


async def test_3_26_analytics_are_for_admins(shop: World, stories: Stories) -> None:
    await send(shop, "GET", "/stripe/analytics/payments", status=403)
    assert (await send(shop, "GET", "/stripe/analytics/payments", role="admin"))["total_payments"]


async def test_3_27_the_caller_is_told_who_he_is(shop: World) -> None:
    assert (await send(shop, "GET", "/auth/me"))["user_id"] == "u-1"


async def test_3_28_a_login_gives_a_development_token(shop: World) -> None:
    token = (await send(shop, "POST", "/auth/login", {"user_id": "u-9"}))["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await shop.api.get("/api/auth/me", headers=headers)).json()["user_id"] == "u-9"


async def test_3_29_a_logout_is_answered(shop: World) -> None:
    await send(shop, "POST", "/auth/logout", status=204)


async def test_3_30_bookings_are_listed(shop: World, stories: Stories) -> None:
    listed = (await send(shop, "GET", "/bookings?limit=100"))["data"]
    assert stories.full.booking["id"] in [booking["id"] for booking in listed]


async def test_3_31_a_booking_is_shown(shop: World, stories: Stories) -> None:
    shown = await send(shop, "GET", f"/bookings/{stories.full.booking['id']}")
    assert (shown["state"], shown["due_cents"]) == ("paid", 0)


async def test_3_32_a_booking_is_made_and_priced(shop: World) -> None:
    made = await send(shop, "POST", "/bookings", BOOKING, status=201)
    assert (made["total_cents"], made["state"]) == (TOTAL, "pending")


async def test_3_33_a_booking_is_changed_but_never_its_money(shop: World) -> None:
    path = f"/bookings/{(await shop.book())['id']}"
    assert (await send(shop, "PUT", path, {"time": "19:30"}))["time"] == "19:30:00"
    await send(shop, "PUT", path, {"paid_cents": TOTAL}, status=422)


async def test_3_35_the_documents_events_are_followed(shop: World) -> None:
    assert shop.ctx.sync.registry.by_event.keys() >= {
        "checkout.session.completed", "payment_intent.succeeded", "payment_intent.payment_failed",
        "payment_intent.canceled", "customer.created", "charge.dispute.created",
        "invoice.payment_succeeded", "invoice.payment_failed", "customer.subscription.created",
        "customer.subscription.updated", "customer.subscription.deleted", "product.updated",
        "price.updated",
    }  # fmt: skip


async def test_3_36_the_smoke_plan_refunds_fifty_dollars_and_the_webhook_tells(
    shop: World, stories: Stories
) -> None:
    old = {"date": "2024-12-25"}
    booking = await send(shop, "POST", "/bookings", BOOKING | old, status=201)
    item = {"name": "Booking Deposit", "amount": 10000, "quantity": 1}
    body = {"booking_id": booking["id"], "line_items": [item]}
    await shop.pay(await send(shop, "POST", "/stripe/create-checkout-session", body))
    await catch_up(shop)
    payment = (await story(shop, booking)).payment["id"]
    asked = f'{{"payment_id": "{payment}", "amount": 50.00, "reason": "customer_request"}}'
    refund = await send(shop, "POST", "/stripe/refund", asked, role="admin")
    await catch_up(shop)
    told = (await story(shop, booking)).payment
    assert (told["status"], told["refunds"]) == ("partially_refunded", [refund])


def test_3_37_one_word_each_migrates_checks_and_tests() -> None:
    targets = (ROOT / "Makefile").read_text()
    for tool in ("ruff check", "ruff format --check", "mypy", "pytest", "--cov=payments"):
        assert tool in targets
    assert (ROOT / "alembic/script.py.mako").is_file()


def test_3_38_the_guide_helps_with_signatures_database_and_key() -> None:
    table = section(GUIDE, "Troubleshooting")
    for clue in ("secret of *this* endpoint", "pg_isready", "stripe customers list --api-key"):
        assert clue in table


async def test_3_39_limits_headers_validation_and_keys_are_in_place(shop: World) -> None:
    app = application(shop, environment="staging", rate_limit_per_minute=2)
    async with served(app) as api:
        answers = [await api.get("/api/auth/me", headers=shop.bearer()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "Strict-Transport-Security" in answers[0].headers
    await send(shop, "POST", "/bookings", {"guests": "many"}, status=422)
    key = shop.bearer() | {"Idempotency-Key": "item-3.39"}
    twice = [await shop.api.post("/api/bookings", json=BOOKING, headers=key) for _ in range(2)]
    assert len({answer.json()["id"] for answer in twice}) == 1


def test_3_40_the_guide_lists_the_environment_and_production_insists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = section(GUIDE, "Going live")
    for word in (
        "Keys",
        "Database",
        "backups",
        "--url https://",
        "TLS",
        "SMTP_URL",
        "Watch",
        "Tax",
    ):
        assert word in steps
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(UnsafeSettings) as refused:
        load()
    for name in ("DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SECRET_KEY"):
        assert name in str(refused.value)


def test_3_41_the_guide_leads_through_going_live() -> None:
    steps = section(GUIDE, "Going live")
    for word in ("Pay a small booking", "refund half", "portal", "analytics", "deliveries are 200"):
        assert word in steps
    assert "payments_alerts_total" in steps


async def test_3_42_rates_methods_and_refund_patterns_are_shown(
    shop: World, stories: Stories
) -> None:
    found = await send(shop, "GET", "/stripe/analytics/payments", role="admin")
    assert 0 < found["outcomes"]["success_rate"] < 1
    assert 0 < found["outcomes"]["dispute_rate"] < 1
    assert [method["type"] for method in found["payment_methods"]] == ["card"]
    assert sum(each["count"] for each in found["refund_patterns"]) >= 1
