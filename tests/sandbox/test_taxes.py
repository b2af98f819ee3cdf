"""Taxes: given rates, the set rate of automatic tax, and discounts before them."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.flows.taxes import on_top, taxes_on, within
from stripe_sandbox.testing import Bench


@pytest_asyncio.fixture
async def taxing() -> AsyncIterator[Bench]:
    """A bench where automatic tax levies 19 %."""
    config = Config(base_url="http://sandbox.test", settle_after=3600, tax_rate=Decimal(19))
    async with Bench.open(config) as opened:
        yield opened


def rate(percentage: str, *, inclusive: bool) -> dict[str, object]:
    return {"id": "txr_1", "percentage": float(percentage), "inclusive": inclusive}


@pytest.mark.parametrize(
    ("amount", "rates", "added", "included"),
    [
        (1000, [rate("19", inclusive=False)], 190, 0),
        (1190, [rate("19", inclusive=True)], 0, 190),
        (50, [rate("5", inclusive=False)], 3, 0),
        (1100, [rate("10", inclusive=True), rate("5", inclusive=False)], 50, 100),
        (1000, [rate("8.875", inclusive=False), rate("0", inclusive=False)], 89, 0),
        (-1000, [rate("19", inclusive=False)], -190, 0),
        (1000, [], 0, 0),
    ],
)
def test_a_tax_is_rounded_half_up(
    amount: int, rates: list[dict[str, object]], added: int, included: int
) -> None:
    taxes = taxes_on(amount, rates)
    assert (on_top(taxes), within(taxes)) == (added, included)


async def new_rate(bench: Bench, percentage: float, *, inclusive: bool) -> stripe.TaxRate:
    return await bench.stripe.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    )


async def invoice_over(bench: Bench, amount: int, **params: object) -> stripe.Invoice:
    customer = await bench.stripe.v1.customers.create_async()
    draft = await bench.stripe.v1.invoices.create_async(
        {"customer": customer.id, **params}  # type: ignore[arg-type]  # by name
    )
    await bench.stripe.v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": draft.id, "amount": amount, "currency": "usd"}
    )
    return await bench.stripe.v1.invoices.retrieve_async(draft.id)


async def test_an_invoice_shows_the_taxes_of_its_rates(bench: Bench) -> None:
    vat = await new_rate(bench, 10, inclusive=True)
    city = await new_rate(bench, 5, inclusive=False)
    invoice = await invoice_over(bench, 1100, default_tax_rates=[vat.id, city.id])
    assert (invoice.subtotal, invoice.subtotal_excluding_tax, invoice.total) == (1100, 1000, 1150)
    assert (invoice.total_excluding_tax, invoice.amount_due) == (1000, 1150)
    assert invoice.total_taxes is not None
    assert [(tax.amount, tax.tax_behavior) for tax in invoice.total_taxes] == [
        (100, "inclusive"),
        (50, "exclusive"),
    ]
    (line,) = invoice.lines.data
    assert [tax.taxable_amount for tax in line.taxes or []] == [1000, 1000]


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
