"""What an adopter plugs in: payables and routes of his own, the import path, an empty catalogue."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

import payments.app
from payments.app import create_app
from payments.core.errors import Conflict, NotFound
from payments.core.money import Money
from payments.core.principal import Principal
from payments.domains.catalog.sync_file import SHIPPED, read
from payments.domains.payables import Offer, Purpose
from payments.settings import Settings, UnsafeSettings
from service.variants import served
from world import BOOKING, Database, World, open_world


class Gifts:
    """Gift cards, at a price that lasts an hour."""

    kind = "gift"

    def __init__(self, until: datetime) -> None:
        self.until = until
        self.told: list[str] = []

    async def locate(self, tx: AsyncConnection, *, id: str, principal: Principal) -> str:
        if id != "card-1" or not principal.sees("u-1"):
            raise NotFound(f"there is no gift {id!r}")
        return id

    async def offer(
        self, tx: AsyncConnection, *, id: str, purpose: Purpose, principal: Principal
    ) -> Offer:
        if purpose != "full":
            raise Conflict("a gift is paid in full")
        price = Money(2500, "eur")
        return Offer("u-1", "full", price, price, "Gift card", expires_at=self.until)

    async def paid(self, tx: AsyncConnection, *, ids: Collection[str], now: datetime) -> None:
        self.told += ids


def with_gifts(world: World, *, gifts: Gifts, routers: tuple[APIRouter, ...] = ()) -> FastAPI:
    network = httpx2.ASGITransport(app=world.sandbox)
    return create_app(
        world.settings, payables=[gifts], routers=routers, clock=world.clock, network=network
    )


async def test_a_payable_of_the_adopters_own_is_paid_and_hears_of_it(world: World) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    gifts = Gifts(until)
    app = with_gifts(world, gifts=gifts)
    async with served(app) as api:
        path, body = "/api/v1/stripe/create-checkout-session", {"reference": "gift:card-1"}
        answer = await api.post(path, json=body, headers=world.bearer())
        session = answer.json()
        assert answer.status_code == 200, answer.text
        assert (session["reference"], session["booking_id"]) == ("gift:card-1", None)
        assert (session["amount_cents"], session["currency"]) == (2500, "eur")
        assert datetime.fromisoformat(session["expires_at"]) == until
        for wrong, status in (
            ({"reference": "gift:card-2"}, 404),
            ({"reference": "gift:card-1", "payment_type": "deposit"}, 409),
        ):
            refused = await api.post(path, json=wrong, headers=world.bearer())
            assert refused.status_code == status
        stranger = await api.post(path, json=body, headers=world.bearer("u-2"))
        assert stranger.status_code == 404

        await world.pay(session)
        for event in await world.events():
            await app.state.context.stripe.process_webhook_event(event)
        assert "card-1" in gifts.told
        listed = await api.get("/api/v1/stripe/payments", headers=world.bearer())
        [payment] = listed.json()["data"]
        assert (payment["reference"], payment["booking_id"]) == ("gift:card-1", None)
        assert (payment["status"], payment["amount"]) == ("succeeded", "€25.00")
        path = f"/api/v1/stripe/checkout-sessions/{session['session_id']}"
        assert (await api.get(path, headers=world.bearer())).json()["paid"] is True


async def test_two_payables_of_one_kind_clash_at_the_start(world: World) -> None:
    gifts = Gifts(datetime.now(UTC))
    with pytest.raises(UnsafeSettings, match="gift"):
        create_app(world.settings, payables=[gifts, gifts])
    gifts.kind = "booking"
    with pytest.raises(UnsafeSettings, match="booking"):
        create_app(world.settings, payables=[gifts])


async def test_further_routes_stand_beside_ours(world: World) -> None:
    router = APIRouter()

    @router.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    app = with_gifts(world, gifts=Gifts(datetime.now(UTC)), routers=(router,))
    async with served(app) as api:
        assert (await api.get("/hello")).json() == {"hello": "world"}


async def test_an_empty_catalogue_says_what_to_run(database: Database) -> None:
    await database.empty()
    async with open_world(database.url, catalogue=False) as world:
        answer = await world.ask("POST", "/bookings", BOOKING, status=503)
        assert "payments catalog apply" in answer["detail"]
        assert (await world.ask("GET", "/stripe/products"))["data"] == []


async def test_the_products_are_listed_with_their_prices(world: World) -> None:
    page = await world.ask("GET", "/stripe/products")
    found = {product["id"]: product for product in page["data"]}
    assert len(found) == len(read(SHIPPED))
    [price] = found["payments_menu_adult"]["prices"]
    assert (price["lookup_key"], price["unit_amount"]) == ("menu_adult", 5500)
    assert (price["amount"], price["currency"], price["type"]) == ("$55.00", "usd", "one_time")
    first = await world.ask("GET", "/stripe/products", params={"limit": 1})
    assert (len(first["data"]), first["has_more"]) == (1, True)


async def test_a_price_of_nothing_is_listed_as_nothing(world: World) -> None:
    product = (await world.ask("GET", "/stripe/products"))["data"][0]["id"]
    form = {"product": product, "currency": "usd", "unit_amount": "0", "nickname": "free"}
    await world.stripe.post("/v1/prices", data=form)
    await world.converge()
    products = (await world.ask("GET", "/stripe/products"))["data"]
    [prices] = [listed["prices"] for listed in products if listed["id"] == product]
    assert (0, "$0.00") in [(price["unit_amount"], price["amount"]) for price in prices]


async def test_a_catalogue_in_another_currency_leaves_old_bookings_theirs(world: World) -> None:
    booking = await world.book()
    await world.db.execute("update stripe.prices set currency = 'eur'")
    path = f"/bookings/{booking['id']}"
    answer = await world.ask("PUT", path, {"guests": 3}, status=409)
    assert "eur" in answer["detail"]
    assert "usd" in answer["detail"]
    assert (await world.book())["currency"] == "eur"


def test_uvicorn_finds_the_application_by_its_import_path(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", database.url)
    assert isinstance(payments.app.app, FastAPI)
    with pytest.raises(AttributeError):
        _ = payments.app.nothing
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(UnsafeSettings, match="STRIPE_SECRET_KEY"):
        _ = payments.app.app
