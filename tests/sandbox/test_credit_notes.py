"""Credit notes: what is still due goes down, what was paid goes back."""

from typing import Any

import pytest
import stripe

from sandbox.billing import customer, invoice, new_events
from stripe_sandbox.testing import Bench


async def opened(bench: Bench, *amounts: int) -> stripe.Invoice:
    draft = await invoice(bench, await customer(bench, invoice_prefix="ADA"), *amounts)
    return await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)


async def paid(bench: Bench, *amounts: int) -> stripe.Invoice:
    draft = await invoice(bench, await customer(bench), *amounts)
    return await bench.stripe.v1.invoices.pay_async(draft.id)


async def credit(bench: Bench, of: stripe.Invoice, **given: Any) -> stripe.CreditNote:
    params: Any = {"invoice": of.id, **given}
    return await bench.stripe.v1.credit_notes.create_async(params)


async def test_a_credit_note_on_an_open_invoice_lowers_what_is_due(bench: Bench) -> None:
    due = await opened(bench, 2_000)
    seen = len(await bench.events())
    line: Any = {
        "type": "custom_line_item",
        "unit_amount": 500,
        "quantity": 2,
        "description": "Sorry",
    }
    note = await credit(bench, due, lines=[line], reason="duplicate", memo="Paid twice")
    assert (note.amount, note.type, note.pre_payment_amount) == (1_000, "pre_payment", 1_000)
    assert (note.number, note.status, note.reason) == ("ADA-0001-CN-01", "issued", "duplicate")
    assert [(item.quantity, item.unit_amount) for item in note.lines.data] == [(2, 500)]
    assert await new_events(bench, seen) == ["credit_note.created", "invoice.updated"]
    left = await bench.stripe.v1.invoices.retrieve_async(due.id)
    assert (left.total, left.amount_due, left.amount_remaining) == (2_000, 1_000, 1_000)
    assert left.pre_payment_credit_notes_amount == 1_000
    settled = await bench.stripe.v1.invoices.pay_async(due.id)
    assert settled.amount_paid == 1_000
    (charge,) = (await bench.stripe.v1.charges.list_async()).data
    assert charge.amount == 1_000


async def test_crediting_all_that_is_due_settles_the_invoice(bench: Bench) -> None:
    due = await opened(bench, 2_000)
    await credit(bench, due, amount=2_000)
    settled = await bench.stripe.v1.invoices.retrieve_async(due.id)
    assert (settled.status, settled.amount_paid, settled.amount_due) == ("paid", 0, 0)
    (intent,) = (await bench.stripe.v1.payment_intents.list_async()).data
    assert intent.status == "canceled"


async def test_a_void_credit_note_is_due_again(bench: Bench) -> None:
    due = await opened(bench, 2_000)
    note = await credit(bench, due, amount=500)
    void = await bench.stripe.v1.credit_notes.void_credit_note_async(note.id)
    assert (void.status, bool(void.voided_at)) == ("void", True)
    again = await bench.stripe.v1.invoices.retrieve_async(due.id)
    assert (again.amount_due, again.pre_payment_credit_notes_amount) == (2_000, 0)
    assert (await bench.events())[-2:] == ["credit_note.voided", "invoice.updated"]
    with pytest.raises(stripe.InvalidRequestError):
        await bench.stripe.v1.credit_notes.void_credit_note_async(note.id)


async def test_a_paid_invoice_is_refunded_credited_and_settled_elsewhere(bench: Bench) -> None:
    settled = await paid(bench, 2_000)
    seen = len(await bench.events())
    note = await credit(
        bench, settled, amount=1_200, refund_amount=700, credit_amount=400, out_of_band_amount=100
    )
    assert (note.type, note.post_payment_amount, note.out_of_band_amount) == (
        "post_payment",
        1_200,
        100,
    )
    (link,) = note.refunds
    refund = await bench.stripe.v1.refunds.retrieve_async(str(link.refund))
    assert (link.amount_refunded, refund.amount) == (700, 700)
    assert await new_events(bench, seen) == [
        "refund.created",
        "charge.refunded",
        "customer.updated",
        "credit_note.created",
        "invoice.updated",
    ]
    owner = str(settled.customer)
    (move,) = (await bench.stripe.v1.customers.balance_transactions.list_async(owner)).data
    assert (move.type, move.amount, move.ending_balance) == ("credit_note", -400, -400)
    assert (move.id, move.credit_note) == (note.customer_balance_transaction, note.id)
    after = await bench.stripe.v1.invoices.retrieve_async(settled.id)
    assert (after.status, after.post_payment_credit_notes_amount) == ("paid", 1_200)


async def test_what_goes_back_must_add_up(bench: Bench) -> None:
    settled = await paid(bench, 2_000)
    with pytest.raises(stripe.InvalidRequestError, match=r"\$5.00.*must equal.*\$7.00"):
        await credit(bench, settled, amount=700, refund_amount=500)
    with pytest.raises(stripe.InvalidRequestError, match="at most what is left"):
        await credit(bench, settled, amount=2_001, refund_amount=2_001)
    assert not (await bench.stripe.v1.refunds.list_async()).data


async def test_only_memo_and_metadata_change_later(bench: Bench) -> None:
    note = await credit(bench, await opened(bench, 2_000), amount=500)
    changed = await bench.stripe.v1.credit_notes.update_async(
        note.id, {"memo": "Sorry", "metadata": {"a": "1"}}
    )
    assert changed.memo == "Sorry"
    assert (await bench.events())[-1] == "credit_note.updated"


async def test_a_draft_takes_no_credit_note(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench), 2_000)
    with pytest.raises(stripe.InvalidRequestError, match="finalized"):
        await credit(bench, draft, amount=500)


async def test_what_is_not_simulated_is_refused(bench: Bench) -> None:
    settled = await paid(bench, 2_000)
    line = {"type": "invoice_line_item", "invoice_line_item": settled.lines.data[0].id}
    with pytest.raises(stripe.APIError, match="invoice_line_item"):
        await credit(bench, settled, lines=[{**line, "quantity": 1}], refund_amount=2_000)
    with pytest.raises(stripe.APIError, match="refunds"):
        await credit(bench, settled, amount=2_000, refunds=[{"refund": "re_1"}])
