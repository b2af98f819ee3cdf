"""Invoices from draft to done: lines, numbers, due dates, and what may still be changed."""

import time
from typing import Any

import pytest
import stripe

from sandbox.billing import DAY, advance, clock, customer, invoice
from stripe_sandbox.testing import Bench


async def test_pending_items_join_the_next_invoice_that_includes_them(bench: Bench) -> None:
    ada = await customer(bench, None)
    product = await bench.stripe.v1.products.create_async({"name": "Wash"})
    price = await bench.stripe.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount_decimal": "12.5"}  # type: ignore[typeddict-item]  # text is what the form carries
    )
    items = bench.stripe.v1.invoice_items
    await items.create_async({"customer": ada.id, "amount": 2_000, "currency": "usd"})
    priced = await items.create_async(
        {"customer": ada.id, "pricing": {"price": price.id}, "quantity": 3}
    )
    assert (priced.amount, priced.description, priced.invoice) == (38, "Wash", None)
    empty = await bench.stripe.v1.invoices.create_async({"customer": ada.id})
    assert (empty.total, empty.lines.data, empty.auto_advance) == (0, [], False)
    full = await bench.stripe.v1.invoices.create_async(
        {"customer": ada.id, "pending_invoice_items_behavior": "include"}
    )
    assert (full.subtotal, full.total, full.amount_due) == (2_038, 2_038, 2_038)
    first, second = full.lines.data
    assert (first.amount, second.amount) == (38, 2_000)
    assert first.parent
    assert first.parent.invoice_item_details
    assert first.parent.invoice_item_details.invoice_item == priced.id
    assert first.pricing
    assert first.pricing.price_details
    assert first.pricing.price_details.product == product.id
    assert (await items.retrieve_async(priced.id)).invoice == full.id
    assert not (await items.list_async({"pending": True})).data


async def test_a_draft_is_numbered_and_opened_when_it_is_finalised(bench: Bench) -> None:
    ada = await customer(bench, None, name="Ada", email="ada@example.com", invoice_prefix="ADA")
    draft = await invoice(bench, ada, 1_500)
    assert (draft.status, draft.number, draft.hosted_invoice_url) == ("draft", None, None)
    done = await bench.stripe.v1.invoices.finalize_invoice_async(
        draft.id, {"expand": ["payments.data.payment.payment_intent", "confirmation_secret"]}
    )
    assert (done.status, done.number, done.customer_name) == ("open", "ADA-0001", "Ada")
    assert done.status_transitions.finalized_at == done.effective_at
    assert done.hosted_invoice_url
    assert done.invoice_pdf
    assert done.payments
    assert done.confirmation_secret
    (payment,) = done.payments.data
    intent = payment.payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.amount, intent.customer, intent.description) == (
        1_500,
        ada.id,
        "Invoice ADA-0001",
    )
    assert done.confirmation_secret.client_secret == intent.client_secret
    assert (await bench.events())[-3:] == [
        "payment_intent.created",
        "invoice.updated",
        "invoice.finalized",
    ]
    again = await invoice(bench, ada, 900)
    again = await bench.stripe.v1.invoices.finalize_invoice_async(again.id)
    assert again.number == "ADA-0002"


async def test_an_item_on_a_draft_can_be_changed_and_deleted_until_it_is_final(
    bench: Bench,
) -> None:
    draft = await invoice(bench, await customer(bench, None), 1_000, 500)
    cheap, dear = (await bench.stripe.v1.invoice_items.list_async({"invoice": draft.id})).data
    await bench.stripe.v1.invoice_items.update_async(dear.id, {"amount": 800})
    await bench.stripe.v1.invoice_items.delete_async(cheap.id)
    changed = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (changed.total, [line.amount for line in changed.lines.data]) == (800, [800])
    await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bench.stripe.v1.invoice_items.update_async(dear.id, {"amount": 1})
    assert refused.value.error
    assert refused.value.error.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError):
        await bench.stripe.v1.invoices.update_async(draft.id, {"description": "late"})
    tagged = await bench.stripe.v1.invoices.update_async(draft.id, {"metadata": {"a": "1"}})
    assert tagged.metadata
    assert tagged.metadata.to_dict() == {"a": "1"}


async def test_lines_beyond_the_tenth_are_on_further_pages(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench, None), *range(100, 1_300, 100))
    assert (len(draft.lines.data), draft.lines.has_more, draft.total) == (10, True, 7_800)
    page = await bench.stripe.v1.invoices.line_items.list_async(draft.id, {"limit": 5})
    amounts = [line.amount async for line in page.auto_paging_iter()]
    assert amounts == list(range(100, 1_300, 100))


async def test_a_deleted_draft_frees_its_items(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench, None), 700)
    gone = await bench.stripe.v1.invoices.delete_async(draft.id)
    assert gone.deleted
    assert (await bench.events())[-1] == "invoice.deleted"
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert unknown.value.http_status == 404
    assert len((await bench.stripe.v1.invoice_items.list_async({"pending": True})).data) == 1


async def test_a_sent_invoice_is_due_and_then_overdue(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, None, test_clock=time_.id)
    draft = await invoice(bench, ada, 5_000, collection_method="send_invoice", days_until_due=7)
    assert draft.due_date == time_.frozen_time + 7 * DAY
    sent = await bench.stripe.v1.invoices.send_invoice_async(draft.id)
    assert (sent.status, sent.next_payment_attempt) == ("open", None)
    assert (await bench.events())[-1] == "invoice.sent"
    await advance(bench, time_, to=time_.frozen_time + 6 * DAY)
    assert "invoice.overdue" not in await bench.events()
    await advance(bench, time_, to=time_.frozen_time + 7 * DAY)
    assert "invoice.overdue" in await bench.events()


async def test_a_paid_invoice_does_not_become_overdue(bench: Bench) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    draft = await invoice(bench, ada, 5_000, collection_method="send_invoice", days_until_due=7)
    await bench.stripe.v1.invoices.pay_async(draft.id)
    await advance(bench, time_, to=time_.frozen_time + 8 * DAY)
    assert "invoice.overdue" not in await bench.events()


async def test_a_draft_that_advances_is_finalised_and_paid_an_hour_later(bench: Bench) -> None:
    time_ = await clock(bench)
    draft = await invoice(
        bench, await customer(bench, test_clock=time_.id), 5_000, auto_advance=True
    )
    assert draft.automatically_finalizes_at == time_.frozen_time + 3_600
    assert (draft.test_clock, draft.next_payment_attempt) == (
        time_.id,
        draft.automatically_finalizes_at,
    )
    await advance(bench, time_, to=time_.frozen_time + 3_600)
    paid = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (paid.status, paid.attempt_count) == ("paid", 1)
    assert paid.status_transitions.paid_at == time_.frozen_time + 3_600


async def test_a_draft_of_a_deleted_customer_stays_a_draft(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    time_ = await clock(bench)
    ada = await customer(bench, test_clock=time_.id)
    draft = await invoice(bench, ada, 5_000, auto_advance=True)
    await bench.stripe.v1.customers.delete_async(ada.id)
    await advance(bench, time_, to=time_.frozen_time + 3_600)
    left = await bench.stripe.v1.invoices.retrieve_async(draft.id)
    assert (left.status, left.number) == ("draft", None)
    assert "stripe_sandbox" not in {record.name.partition(".")[0] for record in caplog.records}


@pytest.mark.parametrize("status", ["void", "uncollectible"])
async def test_an_open_invoice_is_voided_or_given_up(bench: Bench, status: str) -> None:
    draft = await invoice(bench, await customer(bench), 5_000)
    invoices = bench.stripe.v1.invoices
    end = invoices.void_invoice_async if status == "void" else invoices.mark_uncollectible_async
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        await end(draft.id)
    await invoices.finalize_invoice_async(draft.id)
    ended = await end(draft.id)
    assert (ended.status, ended.amount_remaining) == (status, 5_000)
    event = "voided" if status == "void" else "marked_uncollectible"
    assert (await bench.events())[-1] == f"invoice.{event}"
    intent = (await bench.stripe.v1.payment_intents.list_async()).data[0]
    if status == "void":
        assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")
        with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
            await invoices.pay_async(draft.id)
    else:
        assert (await invoices.pay_async(draft.id)).status == "paid"


async def test_a_preview_shows_what_would_be_and_leaves_nothing(bench: Bench) -> None:
    ada = await customer(bench, None)
    product = await bench.stripe.v1.products.create_async({"name": "Wash"})
    price: Any = {"currency": "usd", "unit_amount": 200, "product": product.id}
    items = bench.stripe.v1.invoice_items
    await items.create_async({"customer": ada.id, "amount": 700, "currency": "usd"})
    await items.create_async({"customer": ada.id, "price_data": price, "quantity": 2})
    before = await bench.events()
    preview = await bench.stripe.v1.invoices.create_preview_async({"customer": ada.id})
    assert preview.id.startswith("upcoming_in_")
    assert (preview.status, preview.total, len(preview.lines.data)) == ("draft", 1_100, 2)
    assert {line.invoice for line in preview.lines.data} == {preview.id}
    assert await bench.events() == before
    assert not (await bench.stripe.v1.invoices.list_async()).data
    assert len((await items.list_async({"pending": True})).data) == 2


async def test_a_preview_redeems_no_coupon(bench: Bench) -> None:
    ada = await customer(bench, None)
    coupon = await bench.stripe.v1.coupons.create_async({"percent_off": 25})
    await bench.stripe.v1.invoice_items.create_async(
        {"customer": ada.id, "amount": 1_000, "currency": "usd"}
    )
    preview = await bench.stripe.v1.invoices.create_preview_async(
        {"customer": ada.id, "discounts": [{"coupon": coupon.id}]}
    )
    assert (preview.subtotal, preview.total) == (1_000, 750)
    assert (await bench.stripe.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 0


async def test_invoices_are_found_by_filter_and_by_search(bench: Bench) -> None:
    ada, bob = await customer(bench, None), await customer(bench, None)
    hers = await invoice(bench, ada, 700)
    his = await invoice(bench, bob, 900)
    await bench.stripe.v1.invoices.finalize_invoice_async(his.id)
    invoices = bench.stripe.v1.invoices
    assert [i.id for i in (await invoices.list_async({"customer": ada.id})).data] == [hers.id]
    assert [i.id for i in (await invoices.list_async({"status": "open"})).data] == [his.id]
    found = await invoices.search_async({"query": "total>800"})
    assert [i.id for i in found.data] == [his.id]


async def test_what_is_not_simulated_is_refused(bench: Bench) -> None:
    ada = await customer(bench, None)
    with pytest.raises(stripe.APIError, match="payment_method_options"):
        await bench.stripe.v1.invoices.create_async(
            {
                "customer": ada.id,
                "payment_settings": {
                    "payment_method_options": {"card": {"request_three_d_secure": "any"}}
                },
            }
        )


async def test_a_due_date_needs_an_invoice_that_is_sent(bench: Bench) -> None:
    ada = await customer(bench, None)
    invoices = bench.stripe.v1.invoices
    with pytest.raises(stripe.InvalidRequestError) as early:
        await invoices.create_async({"customer": ada.id, "due_date": int(time.time()) + DAY})
    assert early.value.param == "due_date"
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await invoices.create_async({"customer": ada.id, "collection_method": "send_invoice"})
    assert missing.value.param == "days_until_due"
