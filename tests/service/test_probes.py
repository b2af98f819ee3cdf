"""What an orchestrator, a monitor, a browser and a reader of the documentation ask."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from payments.core import migrations
from payments.sync.account import WrongAccount
from service.variants import Wire, application, served
from world import BOOKING, Database, Json, World, open_world

PROBLEM = "application/problem+json"


async def test_the_process_answers(world: World) -> None:
    answer = await world.api.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_an_instance_with_everything_is_ready(world: World) -> None:
    answer = await world.api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert {check["state"] for check in answer.json()["checks"].values()} == {"ok"}


async def test_a_missing_migration_is_named(world: World) -> None:
    await world.db.execute("delete from alembic_version")
    try:
        answer = await world.api.get("/readyz")
    finally:
        await world.db.execute("insert into alembic_version values ($1)", migrations.head())
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert migrations.head() in answer.json()["checks"]["database"]["detail"]


async def test_a_database_that_is_away_is_not_ready_and_comes_back(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await database.empty()
    folder = Path(tmp_path_factory.mktemp("wire"))
    async with Wire(database.url, folder) as wire, open_world(wire.url, catalogue=False) as world:
        await wire.cut()
        answer = await world.api.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert answer.json()["checks"]["database"]["state"] == "failed"
        assert (await world.api.get("/livez")).status_code == 200
        answer = await world.api.get("/api/v1/bookings", headers=world.bearer())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        await wire.mend()
        assert (await world.api.get("/readyz")).status_code == 200
        await world.ask("GET", "/bookings")


async def fault(world: World, **what: object) -> None:
    answer = await world.stripe.post("/_sandbox/faults", json=what)
    assert answer.status_code == 201, answer.text


async def test_a_stripe_that_is_away_is_a_warning(world: World) -> None:
    await fault(world, path="/v1/account", cut=True, times=9)
    answer = await world.api.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert answer.json()["checks"]["stripe"]["state"] == "warning"


async def test_another_account_than_the_databases_is_refused(world: World) -> None:
    await world.db.execute("update installation set account = 'acct_other'")
    answer = await world.api.get("/readyz")
    check = answer.json()["checks"]["stripe"]
    assert (answer.status_code, check["state"]) == (503, "failed")
    assert "acct_other" in check["detail"]
    with pytest.raises(WrongAccount, match="acct_other") as caught:
        async with served(application(world)):
            pass
    assert "DATABASE_URL" in str(caught.value)


async def test_metrics_are_for_admins_and_for_the_bearer_of_their_token(world: World) -> None:
    await world.book()
    async with served(application(world, metrics_token=SecretStr("a token for metrics"))) as api:
        for headers, status in (
            (world.bearer(role="admin"), 200),
            ({"Authorization": "Bearer a token for metrics"}, 200),
            (world.bearer(role="service"), 403),
            (world.bearer(), 403),
            ({"Authorization": "Bearer another"}, 401),
            ({"Authorization": "Bearer"}, 401),
            ({}, 401),
        ):
            answer = await api.get("/metrics", headers=headers)
            assert answer.status_code == status, headers
    text = (await world.api.get("/metrics", headers=world.bearer(role="admin"))).text
    assert re.search(r'payments_http_seconds_count\{.*route="(/api/v1)?/bookings".*\} \d', text)
    assert "payments_stripe_seconds_count" in text


async def test_a_route_counts_as_one_whatever_its_ids(world: World) -> None:
    for id in ("bk_first", "bk_second"):
        await world.ask("GET", f"/bookings/{id}", status=404)
        await world.api.get(f"/nothing/{id}")
    text = (await world.api.get("/metrics", headers=world.bearer(role="admin"))).text
    assert "bk_first" not in text
    assert re.search(r'route="(/api/v1)?/bookings/\{id\}"', text)


async def preflight(world: World, origin: str, **changes: Any) -> str | None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    async with served(application(world, **changes)) as api:
        answer = await api.options("/api/v1/bookings/x", headers=headers)
    return answer.headers.get("access-control-allow-origin")


async def test_front_ends_may_call_and_nobody_else(world: World) -> None:
    for origin in ("https://shop.example", "https://admin.example", "http://localhost:5173"):
        assert await preflight(world, origin) == origin
    for origin in (
        "https://evil.example",
        "http://shop.example",
        "https://shop.example.evil.example",
        "http://localhost.evil.example",
        "null",
    ):
        assert await preflight(world, origin) is None
    assert await preflight(world, "http://localhost:5173", environment="staging") is None


async def test_every_answer_carries_the_id_it_is_logged_under(world: World) -> None:
    given = "7b6ddc7d6f0e4a5f9f4e7a0f0c6f3a11"
    answer = await world.api.get("/livez", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    answer = await world.api.get("/nope", headers={"X-Request-ID": "<script>\x01"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


async def test_a_crash_is_a_problem_that_a_browser_may_read(world: World) -> None:
    app = application(world)

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("sk_test_secret of a database row")

    async with served(app) as api:
        answer = await api.get("/crash", headers={"Origin": "https://shop.example"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert "row" not in answer.text
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/api/v1/nope", 404),
        ("PATCH", "/api/v1/bookings", 405),
        ("GET", "/api/v1/stripe/webhook", 405),
        ("POST", "/api/v1/bookings", 422),
        ("GET", "/api/v1/bookings?limit=x", 422),
    ],
)
async def test_every_error_is_a_problem(world: World, method: str, path: str, status: int) -> None:
    answer = await world.api.request(method, path, headers=world.bearer())
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    body = answer.json()
    assert {"type", "title", "status", "code", "detail", "request_id"} <= set(body)
    assert body["status"] == status
    if status == 405:
        assert answer.headers["allow"]


async def operations(world: World) -> list[tuple[str, Json]]:
    paths = (await world.api.get("/openapi.json")).json()["paths"]
    return [(f"{m} {p}", o) for p, methods in paths.items() for m, o in methods.items()]


async def test_the_specification_shows_an_example_of_each_error(world: World) -> None:
    for name, operation in await operations(world):
        for status, response in operation["responses"].items():
            if status.startswith("2") or name == "get /readyz":
                continue
            content = response["content"]
            assert content[PROBLEM]["examples"], (name, status)
            for example in content[PROBLEM]["examples"].values():
                assert example["value"]["status"] == int(status)


async def test_the_specification_gives_errors_the_type_and_shape_they_have(world: World) -> None:
    for name, operation in await operations(world):
        for status, response in operation["responses"].items():
            if not status.startswith("2") and name != "get /readyz":
                assert list(response["content"]) == [PROBLEM], (name, status)
                assert "ProblemOut" in response["content"][PROBLEM]["schema"]["$ref"], name


async def test_the_specification_names_what_each_kind_of_route_may_answer(world: World) -> None:
    for name, operation in await operations(world):
        statuses = set(operation["responses"])
        if operation.get("security"):
            assert "401" in statuses, name
        if operation.get("requestBody"):
            assert {"413", "422"} <= statuses, name
        if operation.get("parameters"):
            assert "422" in statuses, name
        assert operation.get("description"), name
        assert "HTTPValidationError" not in str(operation["responses"]), name


async def test_the_documentation_works_without_the_internet(world: World) -> None:
    page = await world.api.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert addresses
    for address in addresses:
        assert not address.startswith(("http:", "https:", "//")), address
        assert (await world.api.get(address)).status_code == 200


async def test_the_examples_of_the_specification_are_accepted(world: World) -> None:
    schemas = (await world.api.get("/openapi.json")).json()["components"]["schemas"]
    for example in schemas["BookingCreate"]["examples"]:
        await world.ask("POST", "/bookings", example, status=201, role="service")
    booking = await world.book(**{key: BOOKING[key] for key in ("guests", "menu")})
    here = {"booking_id": booking["id"]}
    for name, path in (
        ("CheckoutSessionCreate", "create-checkout-session"),
        ("PaymentIntentCreate", "create-payment-intent"),
    ):
        for example in schemas[name]["examples"]:
            body = {key: here.get(key, value) for key, value in example.items()}
            await world.ask("POST", f"/stripe/{path}", body)
    for act in ("add", "spend"):
        for example in schemas["CreditsMove"]["examples"]:
            path = f"/financial/credits/u-1/{act}"
            await world.ask("POST", path, example, role="service")
