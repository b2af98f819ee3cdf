"""Who a user is at Stripe: GET and PUT /customers/{user_id}, and `payments customers link`."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments.cli.main import app
from payments.domains.customers.link_file import LinkFileInvalid, read
from payments.settings import Settings
from service.variants import listening
from world import KEY, Json, World, together


async def at_stripe(world: World, email: str = "jenny@example.com") -> str:
    """A customer that was made there before this service came."""
    return str((await world.at_stripe("POST", "/v1/customers", email=email))["id"])


async def put(
    world: World, user: str, customer: str, status: int = 200, role: str = "admin"
) -> Json:
    body = {"stripe_customer_id": customer}
    return await world.ask("PUT", f"/customers/{user}", body, status=status, role=role)  # type: ignore[arg-type]  # a Role


async def test_a_customer_that_stripe_had_before_becomes_a_user_with_his_payments(
    world: World,
) -> None:
    customer = await at_stripe(world)
    await world.at_stripe(
        "POST", "/v1/payment_intents", amount=700, currency="usd", customer=customer
    )
    await world.converge()
    await world.ask("GET", "/customers/u-1", status=404)
    assert (await world.ask("GET", "/stripe/payments"))["data"] == []

    linked = await put(world, "u-1", customer)
    assert (linked["user_id"], linked["stripe_customer_id"]) == ("u-1", customer)
    assert linked["email"] == "jenny@example.com"
    assert linked["dashboard_url"] == f"https://dashboard.stripe.com/test/customers/{customer}"
    [payment] = (await world.ask("GET", "/stripe/payments"))["data"]
    assert payment["amount_cents"] == 700

    session = await world.session(await world.book())
    made = await world.at_stripe("GET", f"/v1/checkout/sessions/{session['session_id']}")
    assert made["customer"] == customer
    own = await world.ask("GET", "/customers/u-1")
    assert own == linked | {"dashboard_url": None}
    await world.ask("GET", "/customers/u-1", status=404, user="u-2")
    assert await put(world, "u-1", customer) == linked
    [entry] = await world.rows("select * from audit_log where act = 'customer.linked'")
    assert (entry["actor"], entry["role"], entry["subject"]) == ("u-1", "admin", customer)


async def test_a_user_linked_anew_keeps_what_he_paid_before(world: World) -> None:
    await world.intent(await world.book())
    await world.converge()
    before = await world.ask("GET", "/customers/u-1")
    after = await put(world, "u-1", await at_stripe(world), role="service")
    assert after["stripe_customer_id"] != before["stripe_customer_id"]
    assert len((await world.ask("GET", "/stripe/payments"))["data"]) == 1
    await put(world, "u-2", before["stripe_customer_id"], status=409)
    await world.at_stripe("DELETE", f"/v1/customers/{after['stripe_customer_id']}")
    await world.converge()
    assert (await world.ask("GET", "/customers/u-1"))["deleted"] is True


async def test_a_wrong_link_is_taken_over_by_an_admin_and_shows_nothing_any_more(
    world: World,
) -> None:
    await world.intent(await world.book())
    await world.converge()
    customer = (await world.ask("GET", "/customers/u-1"))["stripe_customer_id"]
    body = {"stripe_customer_id": customer, "take_over": True}
    await world.ask("PUT", "/customers/u-2", body, status=403, role="service")
    await world.ask("PUT", "/customers/u-2", body, role="admin")
    assert (await world.ask("GET", "/stripe/payments"))["data"] == []
    assert len((await world.ask("GET", "/stripe/payments", user="u-2"))["data"]) == 1
    await world.ask("GET", "/customers/u-1", status=404)
    audit = "select act, details->>'user_id' from audit_log where subject = $1 order by id"
    assert [tuple(row) for row in await world.rows(audit, customer)] == [
        ("customer.unlinked", "u-1"),
        ("customer.linked", "u-2"),
    ]


async def test_a_link_that_cannot_be_true_is_refused_and_changes_nothing(world: World) -> None:
    customer, gone = await at_stripe(world), await at_stripe(world)
    await world.at_stripe("DELETE", f"/v1/customers/{gone}")
    await put(world, "u-2", customer)
    for id, status, said in (
        (customer, 409, "u-2"),
        (gone, 422, "deleted"),
        ("cus_none", 422, "cus_none"),
        ("../charges", 422, "stripe_customer_id"),
        ("", 422, "stripe_customer_id"),
    ):
        assert said in (await put(world, "u-1", id, status))["detail"]
    assert (await put(world, "u-1", customer, 403, role="user"))["code"] == "forbidden"
    assert [row["user_id"] for row in await world.rows("select * from customer_links")] == ["u-2"]


async def test_of_two_users_who_claim_a_customer_at_once_one_gets_it(world: World) -> None:
    customer = await at_stripe(world)
    path, body = "/api/v1/customers/u-{}", {"stripe_customer_id": customer}
    sent = [
        world.api.put(path.format(n % 3), json=body, headers=world.bearer(role="admin"))
        for n in range(6)
    ]
    answers = await together(*sent, world.intent(await world.book()))
    assert sorted(answer.status_code for answer in answers[:-1]) == [200, 200, 409, 409, 409, 409]
    links = "select user_id from customer_links where stripe_customer_id = $1"
    assert len(await world.rows(links, customer)) == 1


FILE = """\ufeffuser_id,stripe_customer_id,email
u-1,{one},Jenny@Example.com
u-2,{one},
u-3,{two},jenny@example.com
u-4,cus_none,
u-5,,
u-1,{two},
u-6,{three},
"""


async def test_a_file_links_whoever_it_can_and_names_the_lines_it_refuses(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    one, two, three = [await at_stripe(world, email) for email in ("jenny@example.com", "t@x", "")]
    file.write_text(FILE.format(one=one, two=two, three=three))

    assert world.settings.database_url is not None
    env = dict.fromkeys((name.upper() for name in Settings.model_fields), None) | {
        "DATABASE_URL": world.settings.database_url.get_secret_value(),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "SECRET_KEY": KEY,
    }

    async def run(*options: str) -> tuple[int, str, str]:
        command = ["customers", "link", str(file), *options]
        ran = await asyncio.to_thread(lambda: CliRunner().invoke(app, command, env=env))
        return ran.exit_code, ran.stdout, ran.stderr

    links = "select user_id from customer_links order by user_id"
    async with listening(world.sandbox) as env["STRIPE_API_BASE"]:
        code, out, _ = await run("--dry-run")
        assert (code, out) == (1, "2 linked, 5 refused (nothing was changed)\n")
        assert await world.rows(links) == await world.rows("select * from audit_log") == []
        code, out, err = await run()
        assert (code, out) == (1, "2 linked, 5 refused\n")
        assert (await run())[1] == "5 refused, 2 unchanged\n"
        file.write_text(f"user_id,stripe_customer_id\nu-1,{three}\nu-6,{one}\n")
        assert (await run("--dry-run"))[:2] == (1, "2 refused (nothing was changed)\n")
        assert (await run("--take-over"))[:2] == (0, "1 linked, 1 re-linked\n")
    told = [line for line in err.splitlines() if line.startswith("line ")]
    for number, said in ((3, "line 2"), (4, "e-mail"), (5, "cus_none"), (6, "id"), (7, "line 2")):
        assert any(line.startswith(f"line {number}:") and said in line for line in told)
    swapped = "select user_id, stripe_customer_id from customer_links order by user_id"
    assert [tuple(row) for row in await world.rows(swapped)] == [("u-1", three), ("u-6", one)]
    file.write_text("id,customer\n")
    with pytest.raises(LinkFileInvalid, match="first line"):
        read(file)
