"""Taxes: the set rate of automatic tax, and discounts before it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.flows.taxes import tax_on
from stripe_sandbox.testing import Bench


@pytest_asyncio.fixture
async def taxing() -> AsyncIterator[Bench]:
    """A bench where automatic tax levies 19 %."""
    config = Config(base_url="http://sandbox.test", settle_after=3600, tax_rate=Decimal(19))
    async with Bench.open(config) as opened:
        yield opened


@pytest.mark.parametrize(
    ("amount", "percent", "inclusive", "tax", "taxable"),
    [
        (1000, "19", False, 190, 1000),
        (1190, "19", True, 190, 1000),
        (50, "5", False, 3, 50),
        (1000, "8.875", False, 89, 1000),
        (-1000, "19", False, -190, -1000),
    ],
)
def test_a_tax_is_rounded_half_up(
    amount: int, percent: str, *, inclusive: bool, tax: int, taxable: int
) -> None:
    assert tax_on(amount, Decimal(percent), inclusive=inclusive) == (tax, taxable)


async def invoice_over(bench: Bench, amount: int, **params: object) -> stripe.Invoice:
    customer = await bench.stripe.v1.customers.create_async()
    draft = await bench.stripe.v1.invoices.create_async(
        {"customer": customer.id, **params}  # type: ignore[arg-type]  # by name
    )
    await bench.stripe.v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
    )
    return await bench.stripe.v1.invoices.retrieve_async(draft.id)


async def test_a_price_says_whether_the_tax_is_within_it(taxing: Bench) -> None:
    product = await taxing.stripe.v1.products.create_async({"name": "Tea"})
    customer = await taxing.stripe.v1.customers.create_async()
    for behavior in ("inclusive", "exclusive"):
        price = {"product": product.id, "currency": "usd", "tax_behavior": behavior}
        item: Any = {"customer": customer.id, "price_data": {**price, "unit_amount": 1190}}
        await taxing.stripe.v1.invoice_items.create_async(item)
    draft = await taxing.stripe.v1.invoices.create_async(
        {
            "customer": customer.id,
            "automatic_tax": {"enabled": True},
            "pending_invoice_items_behavior": "include",
        }
    )
    assert (draft.subtotal, draft.subtotal_excluding_tax, draft.total) == (2380, 2190, 2606)
    assert (draft.total_excluding_tax, draft.amount_due) == (2190, 2606)
    assert {(tax.amount, tax.tax_behavior) for tax in draft.total_taxes or []} == {
        (190, "inclusive"),
        (226, "exclusive"),
    }
    assert {t.taxable_amount for line in draft.lines.data for t in line.taxes or []} == {1000, 1190}


async def test_rates_that_a_request_names_are_refused(bench: Bench) -> None:
    customer = await bench.stripe.v1.customers.create_async()
    with pytest.raises(stripe.APIError, match="default_tax_rates"):
        await bench.stripe.v1.invoices.create_async(
            {"customer": customer.id, "default_tax_rates": ["txr_1"]}
        )


async def test_automatic_tax_levies_the_set_rate_on_what_discounts_leave(taxing: Bench) -> None:
    coupon = await taxing.stripe.v1.coupons.create_async({"percent_off": 50})
    invoice = await invoice_over(
        taxing, 1000, automatic_tax={"enabled": True}, discounts=[{"coupon": coupon.id}]
    )
    assert (invoice.subtotal, invoice.total) == (1000, 595)
    assert invoice.automatic_tax.status == "complete"
    assert [entry.amount for entry in invoice.total_discount_amounts or []] == [500]
    assert [tax.amount for tax in invoice.total_taxes or []] == [95]
    exempt = await taxing.stripe.v1.customers.create_async({"tax_exempt": "exempt"})
    free = await taxing.stripe.v1.invoices.create_async(
        {"customer": exempt.id, "automatic_tax": {"enabled": True}}
    )
    await taxing.stripe.v1.invoice_items.create_async(
        {"customer": exempt.id, "invoice": free.id, "amount": 1000, "currency": "usd"}
    )
    assert (await taxing.stripe.v1.invoices.retrieve_async(free.id)).total == 1000


async def test_without_a_set_rate_automatic_tax_comes_to_nothing(bench: Bench) -> None:
    invoice = await invoice_over(bench, 1000, automatic_tax={"enabled": True})
    assert (invoice.total, invoice.total_taxes) == (1000, [])
