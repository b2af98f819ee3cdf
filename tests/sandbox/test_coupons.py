"""Coupons, promotion codes and the discounts that they become."""

import time
from typing import Any

import pytest
import stripe

from stripe_sandbox.contract.versions import ACCOUNT_DEFAULT
from stripe_sandbox.flows import discounts
from stripe_sandbox.testing import Bench


async def new_coupon(bench: Bench, **params: object) -> stripe.Coupon:
    return await bench.stripe.v1.coupons.create_async(params)  # type: ignore[arg-type]  # by name


async def new_code(bench: Bench, coupon: stripe.Coupon, **params: object) -> stripe.PromotionCode:
    promotion = {"type": "coupon", "coupon": coupon.id}
    return await bench.stripe.v1.promotion_codes.create_async(
        {"promotion": promotion, **params}  # type: ignore[typeddict-item]  # by name
    )


async def in_older_words(bench: Bench, path: str, **form: str) -> dict[str, object]:
    """As the official CLI asks: without a version."""
    response = await bench.http.post(path, data=form)
    body: dict[str, object] = response.json()
    assert (response.status_code, response.headers["stripe-version"]) == (200, ACCOUNT_DEFAULT)
    return body


async def test_a_coupon_lives_until_it_is_deleted(bench: Bench) -> None:
    coupon = await new_coupon(bench, percent_off=20, name="Spring")
    assert (coupon.percent_off, coupon.duration, coupon.valid) == (20.0, "once", True)
    coupons = bench.stripe.v1.coupons
    renamed = await coupons.update_async(coupon.id, {"name": "Summer", "metadata": {"a": "1"}})
    assert renamed.name == "Summer"
    assert (await coupons.delete_async(coupon.id)).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        await coupons.retrieve_async(coupon.id)
    assert await bench.events() == ["coupon.created", "coupon.updated", "coupon.deleted"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 10, "amount_off": 100, "currency": "usd"}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"amount_off": 100}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 10, "duration_in_months": 3}, "duration_in_months"),
    ],
)
async def test_a_coupon_that_makes_no_sense_is_refused(
    bench: Bench, params: dict[str, object], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await new_coupon(bench, **params)
    assert refused.value.param == param


async def test_one_id_is_one_coupon(bench: Bench) -> None:
    await new_coupon(bench, id="TEA", percent_off=5)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await new_coupon(bench, id="TEA", percent_off=10)


async def test_a_coupon_is_over_at_its_time(bench: Bench) -> None:
    await new_coupon(bench, id="OLD", percent_off=5, redeem_by=int(time.time()) - 1)
    bench.app.sandbox.start()
    await bench.deliver()
    coupon = await bench.stripe.v1.coupons.retrieve_async("OLD")
    assert not coupon.valid


async def test_a_promotion_code_is_unique_while_it_is_active(bench: Bench) -> None:
    coupon = await new_coupon(bench, percent_off=20)
    code = await new_code(bench, coupon, code="SPRING")
    assert (code.active, code.promotion.coupon) == (True, coupon.id)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await new_code(bench, coupon, code="spring")
    codes = bench.stripe.v1.promotion_codes
    await codes.update_async(code.id, {"active": False})
    other = await new_code(bench, coupon, code="spring")
    found = await codes.list_async({"coupon": coupon.id, "active": True, "code": "sPring"})
    assert [c.id for c in found.data] == [other.id]
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await codes.update_async(code.id, {"active": True})
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        await codes.create_async({"promotion": {"type": "coupon", "coupon": "none"}})


async def test_a_customer_gets_a_discount_in_the_words_of_older_versions(bench: Bench) -> None:
    first = await new_coupon(bench, percent_off=20)
    second = await new_coupon(bench, percent_off=30, max_redemptions=1)
    customer = await in_older_words(bench, "/v1/customers", coupon=first.id)
    held = await bench.stripe.v1.customers.retrieve_async(str(customer["id"]))
    assert held.discount is not None
    assert (held.discount.source.coupon, held.discount.customer) == (first.id, held.id)
    await in_older_words(bench, f"/v1/customers/{held.id}", coupon=second.id)
    assert not (await bench.stripe.v1.coupons.retrieve_async(second.id)).valid
    await in_older_words(bench, f"/v1/customers/{held.id}", coupon="")
    assert (await bench.events())[2:] == [
        "customer.created",
        "customer.discount.created",
        "customer.discount.updated",
        "customer.discount.deleted",
    ]
    refused = await bench.http.post("/v1/customers", data={"coupon": second.id})
    assert refused.json()["error"]["code"] == "coupon_expired"


async def test_the_pinned_version_knows_no_coupon_of_a_customer(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: coupon"):
        await bench.stripe.v1.customers.create_async({"coupon": "x"})  # type: ignore[arg-type]  # the point


async def test_a_customers_discount_is_deleted(bench: Bench) -> None:
    coupon = await new_coupon(bench, percent_off=20)
    customer = await in_older_words(bench, "/v1/customers", coupon=coupon.id)
    id = str(customer["id"])
    gone = await bench.stripe.v1.customers.delete_discount_async(id)
    assert (gone.deleted, gone.customer) == (True, id)
    assert (await bench.stripe.v1.customers.retrieve_async(id)).discount is None
    with pytest.raises(stripe.InvalidRequestError, match="No active discount"):
        await bench.stripe.v1.customers.delete_discount_async(id)


def lines(*amounts: int) -> list[dict[str, Any]]:
    return [{"amount_subtotal": amount} for amount in amounts]


@pytest.mark.parametrize(
    ("coupons", "amounts", "taken"),
    [
        ([{"percent_off": 33.3333}], [100, 100, 100], [[33], [34], [33]]),
        ([{"percent_off": 50}], [1, 1], [[1], [0]]),
        ([{"percent_off": 12.5}], [1000, -200], [[125], [-25]]),
        ([{"amount_off": 100, "currency": "usd"}], [100, 200], [[33], [67]]),
        ([{"amount_off": 500, "currency": "usd"}], [100, 200], [[100], [200]]),
        ([{"amount_off": 500, "currency": "usd"}], [0, 0], [[0], [0]]),
        (
            [{"percent_off": 50}, {"amount_off": 100, "currency": "usd"}],
            [1000, 600],
            [[500, 63], [300, 37]],
        ),
    ],
)
async def test_discounts_are_taken_off_line_by_line_to_the_last_cent(
    bench: Bench, coupons: list[dict[str, object]], amounts: list[int], taken: list[list[int]]
) -> None:
    made = [await new_coupon(bench, **coupon) for coupon in coupons]
    with bench.app.sandbox.work() as work:
        rows = discounts.redeem(work, [{"coupon": coupon.id} for coupon in made])
        found = discounts.deductions(work, [row["id"] for row in rows], lines(*amounts))
    assert [[entry["amount"] for entry in line] for line in found] == taken
    totals = [total["amount"] for total in discounts.summed(found)]
    assert totals == [sum(column) for column in zip(*taken, strict=True)]


async def test_a_discount_keeps_its_terms_when_its_coupon_is_deleted(bench: Bench) -> None:
    coupon = await new_coupon(bench, percent_off=10)
    with bench.app.sandbox.work() as work:
        rows = discounts.redeem(work, [{"coupon": coupon.id}])
    await bench.stripe.v1.coupons.delete_async(coupon.id)
    bought: list[dict[str, Any]] = [*lines(1000), {"amount": 1000, "discountable": False}]
    with bench.app.sandbox.work() as work:
        found = discounts.deductions(work, [row["id"] for row in rows], bought)
    assert [len(line) for line in found] == [1, 0]
    assert discounts.summed(found) == [{"amount": 100, "discount": rows[0]["id"]}]


async def test_a_promotion_code_is_held_against_its_limits(bench: Bench) -> None:
    coupon = await new_coupon(bench, amount_off=100, currency="usd")
    customer = await bench.stripe.v1.customers.create_async()
    mine = await new_code(bench, coupon, customer=customer.id, max_redemptions=1)

    def redeem(**owner: str) -> int:
        with bench.app.sandbox.work() as work:
            return len(discounts.redeem(work, [{"promotion_code": mine.id}], **owner))

    with pytest.raises(Exception, match="by this customer"):
        redeem(customer="cus_other")
    with pytest.raises(Exception, match="not in eur"):
        redeem(customer=customer.id, currency="eur")
    assert redeem(customer=customer.id) == 1
    with pytest.raises(Exception, match="not active"):
        redeem(customer=customer.id)
    used = await bench.stripe.v1.promotion_codes.retrieve_async(mine.id)
    assert (used.times_redeemed, used.active) == (1, False)
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1
    with pytest.raises(stripe.APIError, match="restrictions"):
        await new_code(bench, coupon, restrictions={"first_time_transaction": True})


async def test_what_applies_once_is_over_with_its_first_invoice(bench: Bench) -> None:
    coupon = await new_coupon(bench, percent_off=10)
    customer = str((await in_older_words(bench, "/v1/customers", coupon=coupon.id))["id"])
    totals = []
    for _ in range(2):
        await bench.stripe.v1.invoice_items.create_async(
            {"customer": customer, "amount": 1000, "currency": "usd"}
        )
        invoice = await bench.stripe.v1.invoices.create_async(
            {"customer": customer, "pending_invoice_items_behavior": "include"}
        )
        totals.append(invoice.total)
    assert totals == [900, 1000]
    assert (await bench.stripe.v1.customers.retrieve_async(customer)).discount is None


async def test_a_repeating_discount_ends_when_its_months_are_over(bench: Bench) -> None:
    began = 1_767_225_600  # the first day of 2026
    coupon = await new_coupon(bench, percent_off=10, duration="repeating", duration_in_months=2)
    clock = await bench.stripe.v1.test_helpers.test_clocks.create_async({"frozen_time": began})
    made = await in_older_words(bench, "/v1/customers", coupon=coupon.id, test_clock=clock.id)
    customer = await bench.stripe.v1.customers.retrieve_async(str(made["id"]))
    assert customer.discount is not None
    ends = customer.discount.end
    assert (customer.discount.start, ends) == (began, began + 59 * 24 * 3600)
    for moment, held in ((began + 58 * 24 * 3600, True), (ends, False)):
        await bench.stripe.v1.test_helpers.test_clocks.advance_async(
            clock.id, {"frozen_time": moment or 0}
        )
        await bench.settle()
        customer = await bench.stripe.v1.customers.retrieve_async(customer.id)
        assert (customer.discount is not None) is held
    assert "customer.discount.deleted" in await bench.events()


async def test_an_invoice_item_has_a_discount_of_its_own(bench: Bench) -> None:
    half = await new_coupon(bench, percent_off=50)
    tenth = await new_coupon(bench, percent_off=10)
    customer = await bench.stripe.v1.customers.create_async()
    draft = await bench.stripe.v1.invoices.create_async(
        {"customer": customer.id, "discounts": [{"coupon": tenth.id}]}
    )
    for params in ({"discounts": [{"coupon": half.id}]}, {}):
        await bench.stripe.v1.invoice_items.create_async(
            {  # type: ignore[arg-type]  # by name
                "customer": customer.id,
                "invoice": draft.id,
                "amount": 1000,
                "currency": "usd",
                **params,
            }
        )
    invoice = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (invoice.subtotal, invoice.total) == (2000, 1350)
    assert [sum(d.amount for d in line.discount_amounts or []) for line in invoice.lines.data] == [
        550,
        100,
    ]
