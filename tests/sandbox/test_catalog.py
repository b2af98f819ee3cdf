"""Products and prices."""

import pytest
import stripe

from stripe_sandbox.testing import Bench


async def test_a_product_comes_with_its_default_price(bench: Bench) -> None:
    product = await bench.stripe.v1.products.create_async(
        {
            "name": "Room",
            "default_price_data": {"currency": "EUR", "unit_amount": 9_900},
            "expand": ["default_price"],
        }
    )
    price = product.default_price
    assert isinstance(price, stripe.Price)
    assert (price.unit_amount, price.currency, price.type) == (9_900, "eur", "one_time")
    assert (price.product, str(price.unit_amount_decimal)) == (product.id, "9900")
    assert await bench.events() == ["product.created", "price.created"]


async def test_a_product_shows_when_it_was_changed(bench: Bench) -> None:
    product = await bench.stripe.v1.products.create_async({"name": "Room", "description": "x"})
    updated = await bench.stripe.v1.products.update_async(
        product.id, {"description": "", "active": False, "metadata": {"a": "1"}}
    )
    assert (updated.description, updated.active) == (None, False)
    (event,) = (await bench.stripe.v1.events.list_async({"type": "product.updated"})).data
    previous = event.data.to_dict()["previous_attributes"]
    assert previous["active"] is True
    assert previous["metadata"] == {"a": None}
    assert previous["description"] == "x"


async def test_a_product_with_prices_stays(bench: Bench) -> None:
    product = await bench.stripe.v1.products.create_async({"name": "Room", "id": "room"})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        await bench.stripe.v1.products.create_async({"name": "Room", "id": "room"})
    assert twice.value.code == "resource_already_exists"
    await bench.stripe.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 100}
    )
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await bench.stripe.v1.products.delete_async("room")
    bare = await bench.stripe.v1.products.create_async({"name": "Bare"})
    deleted = await bench.stripe.v1.products.delete_async(bare.id)
    assert deleted.deleted
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await bench.stripe.v1.products.retrieve_async(bare.id)
    assert gone.value.http_status == 404


async def test_the_amount_of_a_price_never_changes(bench: Bench) -> None:
    price = await bench.stripe.v1.prices.create_async(
        {"product_data": {"name": "Room"}, "currency": "usd", "unit_amount": 100}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.prices.update_async(price.id, {"unit_amount": 200})  # type: ignore[arg-type]  # that is the point
    assert refused.value.code == "parameter_unknown"
    archived = await bench.stripe.v1.prices.update_async(price.id, {"active": False})
    assert archived.active is False
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await bench.stripe.v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "success_url": "http://shop.test",
                "line_items": [{"price": price.id, "quantity": 1}],
            }
        )


async def test_a_lookup_key_moves_only_when_that_is_asked_for(bench: Bench) -> None:
    product = await bench.stripe.v1.products.create_async({"name": "Room"})
    params: stripe.params.PriceCreateParams = {
        "product": product.id,
        "currency": "usd",
        "unit_amount": 100,
        "lookup_key": "room",
    }
    old = await bench.stripe.v1.prices.create_async(params)
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await bench.stripe.v1.prices.create_async(params)
    new = await bench.stripe.v1.prices.create_async({**params, "transfer_lookup_key": True})
    found = await bench.stripe.v1.prices.list_async({"lookup_keys": ["room", "other"]})
    assert [price.id for price in found.data] == [new.id]
    assert (await bench.stripe.v1.prices.retrieve_async(old.id)).lookup_key is None


async def test_a_recurring_price_is_kept_and_found(bench: Bench) -> None:
    monthly = await bench.stripe.v1.prices.create_async(
        {
            "product_data": {"name": "Club"},
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
        }
    )
    assert monthly.recurring is not None
    assert (monthly.type, monthly.recurring.interval_count) == ("recurring", 1)
    prices = bench.stripe.v1.prices
    assert len((await prices.list_async({"recurring": {"interval": "month"}})).data) == 1
    assert (await prices.list_async({"recurring": {"interval": "year"}})).data == []
    with pytest.raises(stripe.InvalidRequestError, match="recurring price"):
        await bench.stripe.v1.checkout.sessions.create_async(
            {
                "mode": "payment",
                "success_url": "http://shop.test",
                "line_items": [{"price": monthly.id, "quantity": 1}],
            }
        )


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"unit_amount": 1}, "product"),
        ({"product": "prod_none", "unit_amount": 1}, "product"),
        ({"product_data": {"name": "x"}}, "unit_amount"),
        ({"product_data": {"name": "x"}, "unit_amount": -1}, "unit_amount"),
    ],
)
async def test_a_price_that_makes_no_sense_is_refused(
    bench: Bench, params: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.prices.create_async({"currency": "usd", **params})  # type: ignore[typeddict-item]  # of the table above
    assert refused.value.param == param


@pytest.mark.parametrize(
    "amount",
    [{"unit_amount": 1_000_000_000_000}, {"unit_amount_decimal": "1e400"}],
    ids=["integer", "decimal"],
)
async def test_a_price_has_a_highest_amount(bench: Bench, amount: dict[str, object]) -> None:
    form = {"product_data": {"name": "Moon"}, "currency": "usd", **amount}
    with pytest.raises(stripe.InvalidRequestError, match="less than or equal to 999999999999"):
        await bench.stripe.v1.prices.create_async(form)  # type: ignore[arg-type]  # of the table above


async def test_products_are_listed_by_state_and_id(bench: Bench) -> None:
    room = await bench.stripe.v1.products.create_async({"name": "Room"})
    old = await bench.stripe.v1.products.create_async({"name": "Old", "active": False})
    products = bench.stripe.v1.products
    assert [p.id for p in (await products.list_async({"active": False})).data] == [old.id]
    assert [p.id for p in (await products.list_async({"ids": [room.id]})).data] == [room.id]


async def test_a_default_price_is_one_of_the_product(bench: Bench) -> None:
    room = await bench.stripe.v1.products.create_async({"name": "Room", "images": ["http://a"]})
    price = await bench.stripe.v1.prices.create_async(
        {"product": room.id, "currency": "usd", "unit_amount_decimal": "1250"}  # type: ignore[typeddict-item]  # as on the wire
    )
    strange = await bench.stripe.v1.prices.create_async(
        {"product_data": {"name": "x"}, "currency": "usd", "unit_amount": 1}
    )
    update = bench.stripe.v1.products.update_async
    updated = await update(room.id, {"default_price": price.id, "images": ""})
    assert (updated.default_price, updated.images, price.unit_amount) == (price.id, [], 1_250)
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        await update(room.id, {"default_price": strange.id})


@pytest.mark.parametrize(
    "params", [{"billing_scheme": "tiered"}, {"tiers_mode": "volume", "unit_amount": 1}]
)
async def test_tiers_are_not_simulated(bench: Bench, params: dict[str, object]) -> None:
    with pytest.raises(stripe.APIError) as refused:
        await bench.stripe.v1.prices.create_async(
            {"currency": "usd", "product_data": {"name": "x"}, **params}  # type: ignore[typeddict-item]  # of the table above
        )
    assert refused.value.http_status == 501
