"""Bookings: what may be sent, what is shown, who sees what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.domains.catalog.sync_file import Catalogue, push
from service.variants import application, served
from world import BOOKING, DEPOSIT, TOTAL, Json, World

REQUIRED = tuple(BOOKING)
OWN_PRICE = {"total_cents": 44000, "deposit_cents": 10000, "currency": "usd"}
UNBOOKABLE: list[Json] = [
    {"date": "25.12.2031"},
    {"date": "2031-02-30"},
    {"date": 1924819200},
    {"date": 1924819200.5},
    {"date": True},
    {"date": ""},
    {"time": "25:00"},
    {"time": "18:00Z"},
    {"time": "18:00+02:00"},
    {"time": 64800},
    {"guests": 0},
    {"guests": -1},
    {"guests": 8.0},
    {"guests": 8.5},
    {"guests": "8"},
    {"guests": True},
    {"guests": 10_001},
    {"guests": 10**30},
    {"guests": [8]},
    {"menu": ""},
    {"menu": "nothing of the kind"},
    {"menu": "x" * 61},
    {"menu": 7},
    {"menu": "adult\x00"},
    {"location": ""},
    {"location": "x" * 501},
    {"location": "a\x00b"},
    {"location": {"street": "Main St"}},
    {"colour": "red"},
    {"state": "paid"},
    {"paid_cents": 44000},
    {"id": "bk_mine"},
    {"created_at": "2020-01-01T00:00:00Z"},
]
NOT_OWN_PRICES: list[Json] = [
    {"total_cents": -1},
    {"total_cents": 44000.0},
    {"total_cents": "44000"},
    {"total_cents": True},
    {"total_cents": 10**12},
    {"total_cents": 49, "deposit_cents": 0},
    {"deposit_cents": 44001},
    {"deposit_cents": -1},
    {"deposit_cents": 49},
    {"total_cents": None},
    {"currency": "dollars"},
    {"currency": "u1d"},
    {"currency": 840},
    {"currency": "jpy", "total_cents": 44000.5},
    {"currency": "isk", "total_cents": 440050, "deposit_cents": 0},
    {"currency": "isk", "deposit_cents": 10050},
    {"currency": "ugx", "total_cents": 440001, "deposit_cents": 0},
    {"currency": "kwd", "total_cents": 44001, "deposit_cents": 0},
    {"reference": ""},
    {"reference": "with space"},
    {"reference": "x" * 101},
    {"reference": "a/b"},
    {"user_id": ""},
    {"user_id": "x" * 201},
    {"user_id": "u\x00"},
    {"user_id": 5},
    {"email": "x" * 321},
]


async def accepted(
    world: World, method: str, path: str, cases: list[Json], *, status: int = 422, **who: Any
) -> list[str]:
    """What of the cases (a base and one wrong field) is not refused by the name of that field."""
    missed = []
    for case in cases:
        headers = world.bearer(who.get("user", "u-1"), who.get("role", "user"))
        answer = await world.api.request(
            method, f"/api/v1{path}", json={**who.get("base", {}), **case}, headers=headers
        )
        named = not case or any(name in answer.json().get("detail", "") for name in case)
        if answer.status_code != status or not named:
            missed.append(f"{case}: {answer.status_code} {answer.json().get('detail')}")
    return missed


def told(problem: Json, field: str) -> bool:
    """Whether the answer says which field to change."""
    return field in problem["detail"]


async def test_a_booking_is_priced_by_the_server(world: World) -> None:
    booking = await world.book(guests=3, menu="kids")
    assert booking["object"] == "booking"
    assert booking["id"].startswith("bk_")
    money = ("currency", "total_cents", "deposit_cents", "paid_cents", "refunded_cents")
    assert [booking[name] for name in money] == ["usd", 9000, 9000, 0, 0]
    assert (booking["due_cents"], booking["due"], booking["state"]) == (9000, "$90.00", "pending")
    assert [booking[name] for name in ("date", "time", "guests", "menu")] == [
        "2031-12-25",
        "18:00:00",
        3,
        "kids",
    ]
    assert await world.booking(booking) == booking


async def test_each_missing_field_is_named(world: World) -> None:
    for name in REQUIRED:
        for body in (
            {key: value for key, value in BOOKING.items() if key != name},
            BOOKING | {name: None},
        ):
            assert told(await world.ask("POST", "/bookings", body, status=422), name)
    answer = await world.ask("POST", "/bookings", {}, status=422)
    assert all(told(answer, name) for name in REQUIRED)


async def test_what_cannot_be_booked_is_refused_by_name(world: World) -> None:
    assert await accepted(world, "POST", "/bookings", UNBOOKABLE, base=BOOKING) == []
    assert await world.rows("select id from bookings") == []


async def test_a_body_that_is_no_object_is_refused(world: World) -> None:
    for body in (None, [], "booking", 5, [BOOKING]):
        answer = await world.ask("POST", "/bookings", body, status=422)
        assert answer["code"] == "invalid_request"


async def test_a_body_that_cannot_be_read_is_told_what_is_wrong(world: World) -> None:
    headers = world.bearer() | {"Content-Type": "application/json"}
    for content in (b"{", b'{"date": NaN}', b"\xff\xfe", b'{"location": "\xff"}', b""):
        answer = await world.api.post("/api/v1/bookings", content=content, headers=headers)
        assert answer.status_code in (400, 422), content
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_huge_body_is_refused_though_its_length_is_not_declared(world: World) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 65536

    headers = world.bearer() | {"Content-Type": "application/json"}
    answer = await world.api.post("/api/v1/bookings", content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_guests_that_cost_more_than_a_charge_may_be_are_refused(world: World) -> None:
    gold = {"key": "menu_gold", "name": "Gold", "unit_amount": 99_999_999, "currency": "usd"}
    async for _ in push(world.ctx, Catalogue.model_validate({"product": [gold]}).product):
        pass
    assert (await world.book(menu="gold", guests=1))["total_cents"] == 99_999_999
    answer = await world.ask("POST", "/bookings", BOOKING | {"menu": "gold"}, status=422)
    assert told(answer, "guests")


async def test_an_unknown_menu_names_those_there_are(world: World) -> None:
    answer = await world.ask("POST", "/bookings", BOOKING | {"menu": "vegan"}, status=422)
    assert all(told(answer, menu) for menu in ("vegan", "adult", "kids", "premium"))


async def test_a_past_date_is_refused_in_production_alone(world: World) -> None:
    past = BOOKING | {"date": "2024-12-25"}
    assert (await world.ask("POST", "/bookings", past, status=201))["date"] == "2024-12-25"
    booking = await world.book()
    async with served(application(world, environment="production")) as api:
        headers = world.bearer()
        refused = await api.post("/api/v1/bookings", json=past, headers=headers)
        assert (refused.status_code, "2024-12-25" in refused.json()["detail"]) == (422, True)
        moved = await api.put(
            f"/api/v1/bookings/{booking['id']}", json={"date": "2024-12-25"}, headers=headers
        )
        assert moved.status_code == 422
        today = BOOKING | {"date": str(datetime.now(UTC).date())}
        assert (await api.post("/api/v1/bookings", json=today, headers=headers)).status_code == 201


async def test_today_is_what_the_calendar_of_the_business_says(world: World) -> None:
    moment = datetime.now(UTC)
    world.clock.ahead = timedelta(hours=24 - moment.hour)  # a little after midnight in UTC
    yesterday_in_utc = str((moment + world.clock.ahead).date() - timedelta(days=1))
    headers = world.bearer()
    body = BOOKING | {"date": yesterday_in_utc}
    for zone, status in (("Pacific/Honolulu", 201), ("Pacific/Kiritimati", 422)):
        app = application(world, environment="production", time_zone=zone)
        async with served(app) as api:
            answer = await api.post("/api/v1/bookings", json=body, headers=headers)
            assert answer.status_code == status


SERVICE_FIELDS: list[Json] = [
    {"reference": "order-1"},
    {"user_id": "u-2"},
    {"email": "u-2@example.com"},
    {"total_cents": 100},
    {"total_cents": 100, "deposit_cents": 50, "currency": "usd"},
]


async def test_what_only_a_service_may_send_is_refused_from_a_user(world: World) -> None:
    cases = SERVICE_FIELDS
    assert await accepted(world, "POST", "/bookings", cases, status=403, base=BOOKING) == []
    assert await world.rows("select id from bookings") == []


async def test_a_user_cannot_price_a_change_either(world: World) -> None:
    booking = await world.book()
    path = f"/bookings/{booking['id']}"
    for field in ({"total_cents": 100}, {"deposit_cents": 0}):
        await world.ask("PUT", path, field, status=403)
    assert await world.booking(booking) == booking


async def test_a_price_that_cannot_be_charged_is_refused_from_a_service(world: World) -> None:
    base = {**OWN_PRICE, "user_id": "u-1"}
    missed = []
    for wrong in NOT_OWN_PRICES:
        answer = await world.api.post(
            "/api/v1/bookings", json=base | wrong, headers=world.bearer("s", "service")
        )
        if answer.status_code != 422:
            missed.append(f"{wrong}: {answer.text}")
    assert missed == []
    assert await world.rows("select id from bookings") == []


OWN_PRICES = [
    ("usd", 44000, 10000, "$440.00"),
    ("USD", 44000, 0, "$440.00"),
    ("jpy", 5000, 50, "¥5,000"),
    ("kwd", 12340, 1000, "KWD12.340"),
    ("isk", 44000, 10000, "ISK440.00"),
    ("eur", 50, 50, "€0.50"),
]


async def test_a_service_books_at_a_price_of_its_own(world: World) -> None:
    seen = []
    for currency, total, deposit, _ in OWN_PRICES:
        body = {"user_id": "u-1", "total_cents": total, "deposit_cents": deposit}
        booking = await world.ask(
            "POST", "/bookings", body | {"currency": currency}, status=201, role="service"
        )
        assert booking["currency"] == currency.lower()
        assert await world.booking(booking) == booking
        due = "".join(booking["due"].split())
        seen.append((currency, booking["total_cents"], booking["deposit_cents"], due))
    assert seen == OWN_PRICES


async def test_a_balance_that_could_never_be_charged_is_refused_with_the_price(
    world: World,
) -> None:
    body = {"user_id": "u-1", "total_cents": 10010, "deposit_cents": 10000, "currency": "usd"}
    answer = await world.ask("POST", "/bookings", body, status=422, role="service")
    assert told(answer, "10")


async def test_a_price_needs_its_currency_only_where_it_is_not_the_default(world: World) -> None:
    body = {"user_id": "u-1", "total_cents": 5000}
    booking = await world.ask("POST", "/bookings", body, status=201, role="service")
    assert (booking["currency"], booking["deposit_cents"]) == ("usd", 0)
    for stray in ({"currency": "usd"}, {"deposit_cents": 100}):
        answer = await world.ask("POST", "/bookings", BOOKING | stray, status=422, role="service")
        assert told(answer, "total_cents")


async def test_a_reference_is_used_once_and_finds_the_booking(world: World) -> None:
    body = {**OWN_PRICE, "user_id": "u-1", "reference": "order:4711"}
    booking = await world.ask("POST", "/bookings", body, status=201, role="service")
    assert await world.ask("GET", "/bookings/order:4711") == booking
    answer = await world.ask("POST", "/bookings", body, status=409, role="service")
    assert told(answer, "order:4711")
    changed = await world.ask("PUT", "/bookings/order:4711", {"location": "elsewhere"})
    assert (changed["id"], changed["location"]) == (booking["id"], "elsewhere")
    session = await world.session({"id": "order:4711"})
    assert session["booking_id"] == booking["id"]


async def test_a_reference_cannot_pose_as_another_booking(world: World) -> None:
    booking = await world.book()
    body = {**OWN_PRICE, "user_id": "u-2", "reference": booking["id"]}
    await world.api.post("/api/v1/bookings", json=body, headers=world.bearer("s", "service"))
    path = f"/bookings/{booking['id']}"
    for place in range(3):  # whichever row comes first in the table
        changed = await world.ask("PUT", path, {"location": f"place {place}"})
        assert changed["id"] == booking["id"]
        assert (await world.ask("GET", path, role="admin"))["id"] == booking["id"]


async def test_another_users_booking_is_not_there(world: World) -> None:
    booking = await world.book()
    own = {**OWN_PRICE, "user_id": "u-1", "reference": "order-1"}
    await world.ask("POST", "/bookings", own, status=201, role="service")
    for name in (booking["id"], "order-1", "bk_none"):
        path = f"/bookings/{name}"
        read = await world.ask("GET", path, status=404, user="u-2")
        await world.ask("PUT", path, {"guests": 2}, status=404, user="u-2")
        for paying in ("create-checkout-session", "create-payment-intent"):
            await world.ask(
                "POST", f"/stripe/{paying}", {"booking_id": name}, status=404, user="u-2"
            )
        await world.ask("GET", f"/stripe/payments?booking_id={name}", status=404, user="u-2")
        assert read["code"] == "not_found"
    assert (await world.ask("GET", "/bookings", user="u-2"))["data"] == []
    assert await world.booking(booking) == booking


NAMELESS = [
    "/bookings/%00",
    "/bookings?starting_after=%00",
    "/stripe/payments?booking_id=%00",
    "/stripe/payments?starting_after=%00",
    "/stripe/checkout-sessions/%00",
    "/stripe/products?starting_after=%00",
]


async def test_a_name_that_no_object_can_have_finds_nothing(world: World) -> None:
    found = {}
    for path in NAMELESS:
        answer = await world.api.get(f"/api/v1{path}", headers=world.bearer())
        found[path] = answer.status_code
    assert {path: status for path, status in found.items() if status not in (404, 422)} == {}


async def test_the_list_shows_ones_own_newest_first_page_by_page(world: World) -> None:
    made = [(await world.book(guests=n))["id"] for n in range(1, 6)][::-1]
    await world.ask("POST", "/bookings", BOOKING, status=201, user="u-2")

    seen: list[str] = []
    more = True
    while more:
        cursor = {"starting_after": seen[-1]} if seen else {}
        page = await world.ask("GET", "/bookings", params={"limit": 2, **cursor})
        assert (page["object"], page["url"]) == ("list", "/api/v1/bookings")
        seen += [booking["id"] for booking in page["data"]]
        more = page["has_more"]
        assert more is (len(seen) < 5)
    assert seen == made
    last = await world.ask("GET", "/bookings", params={"starting_after": made[-1]})
    assert (last["data"], last["has_more"]) == ([], False)
    for role in ("service", "admin"):
        everything = await world.ask("GET", "/bookings", role=role, user="x")
        assert len(everything["data"]) == 6


async def test_a_page_is_the_same_though_bookings_share_a_moment(world: World) -> None:
    made = {(await world.book())["id"] for _ in range(5)}
    await world.db.execute("update bookings set created_at = '2026-01-01T00:00:00Z'")
    seen: list[str] = []
    for _ in range(5):
        cursor = {"starting_after": seen[-1]} if seen else {}
        page = await world.ask("GET", "/bookings", params={"limit": 1, **cursor})
        seen += [booking["id"] for booking in page["data"]]
    assert (len(seen), set(seen)) == (5, made)


async def test_a_cursor_must_be_of_this_list(world: World) -> None:
    foreign = await world.ask("POST", "/bookings", BOOKING, status=201, user="u-2")
    for cursor in ("bk_none", "", foreign["id"]):
        answer = await world.ask("GET", "/bookings", status=422, params={"starting_after": cursor})
        assert told(answer, "starting_after")


async def test_a_limit_is_between_1_and_100(world: World) -> None:
    for limit in ("0", "-1", "101", "1.5", "ten", ""):
        answer = await world.ask("GET", "/bookings", status=422, params={"limit": limit})
        assert told(answer, "limit")
    for limit in ("1", "100"):
        await world.ask("GET", "/bookings", params={"limit": limit})


async def test_a_change_of_guests_changes_the_price_and_nothing_else(world: World) -> None:
    booking = await world.book()
    changed = await world.ask("PUT", f"/bookings/{booking['id']}", {"guests": 10})
    differing = {name for name in booking if booking[name] != changed[name]}
    assert differing == {"guests", "total_cents", "due_cents", "due", "updated_at"}
    assert changed["total_cents"] == 55000
    assert await world.booking(booking) == changed


UNWRITABLE: list[Json] = [
    {},
    {"paid_cents": 44000},
    {"refunded_cents": 1},
    {"addons_cents": 1},
    {"state": "paid"},
    {"user_id": "u-2"},
    {"reference": "mine"},
    {"currency": "eur"},
    {"email": "x@example.com"},
    {"due_cents": 0},
    {"guests": None},
    {"location": None, "guests": 5},
    {"location": "\x00"},
]


@pytest.mark.parametrize("role", ["user", "admin"])
async def test_money_and_identity_cannot_be_written(world: World, role: str) -> None:
    booking = await world.book()
    path = f"/bookings/{booking['id']}"
    assert await accepted(world, "PUT", path, UNWRITABLE, role=role) == []
    assert await world.booking(booking) == booking


async def test_a_service_reprices_what_it_priced(world: World) -> None:
    body = {**OWN_PRICE, **BOOKING, "user_id": "u-1"}
    booking = await world.ask("POST", "/bookings", body, status=201, role="service")
    path = f"/bookings/{booking['id']}"
    kept = await world.ask("PUT", path, {"guests": 2, "menu": "premium"})
    assert kept["total_cents"] == 44000
    changed = await world.ask("PUT", path, {"total_cents": 20000}, role="service")
    assert (changed["total_cents"], changed["deposit_cents"]) == (20000, 10000)
    for wrong in ({"total_cents": 9999}, {"deposit_cents": 20001}, {"total_cents": 10}):
        await world.ask("PUT", path, wrong, status=422, role="service")


async def test_the_total_may_change_after_the_deposit_was_paid(world: World) -> None:
    booking = await world.book()
    await world.pay(await world.session(booking, payment_type="deposit"))
    await world.converge()
    path = f"/bookings/{booking['id']}"
    more = await world.ask("PUT", path, {"guests": 10})
    assert (more["state"], more["paid_cents"], more["due_cents"]) == ("confirmed", DEPOSIT, 45000)
    fewer = await world.ask("PUT", path, {"guests": 1})
    assert (fewer["state"], fewer["due_cents"], fewer["total_cents"]) == ("paid", 0, 5500)
    again = await world.ask("PUT", path, {"guests": 8})
    assert (again["state"], again["due_cents"]) == ("confirmed", TOTAL - DEPOSIT)
