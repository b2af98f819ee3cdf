"""The hosted invoice page: it shows what is due, takes a card, and downloads."""

import httpx2
import stripe

from sandbox.billing import customer, invoice
from stripe_sandbox.testing import Bench


async def opened(bench: Bench, *amounts: int) -> stripe.Invoice:
    ada = await customer(bench, None, name="Ada (Bee)", invoice_prefix="ADA")
    draft = await invoice(bench, ada, *amounts)
    return await bench.stripe.v1.invoices.finalize_invoice_async(draft.id)


async def pay(bench: Bench, of: stripe.Invoice, number: str) -> httpx2.Response:
    form = {"number": number, "expiry": "01/40", "cvc": "987", "name": "A Bee"}
    return await bench.http.post(str(of.hosted_invoice_url), data=form)


async def status(bench: Bench, of: stripe.Invoice) -> str | None:
    return (await bench.stripe.v1.invoices.retrieve_async(of.id)).status


async def test_the_page_shows_the_invoice_and_takes_a_card(bench: Bench) -> None:
    due = await opened(bench, 1_500, 250)
    page = (await bench.http.get(str(due.hosted_invoice_url), auth=None)).text
    for text in ("Invoice ADA-0001", "$15.00", "$2.50", "Pay $17.50", 'name="number"'):
        assert text in page
    paid = await pay(bench, due, "4242 4242 4242 4242")
    assert paid.headers["location"] == f"/i/{due.id}"
    assert await status(bench, due) == "paid"
    after = (await bench.http.get(str(due.hosted_invoice_url))).text
    assert "This invoice is paid" in after
    assert 'name="number"' not in after


async def test_a_decline_is_said_on_the_page_and_another_card_pays(bench: Bench) -> None:
    due = await opened(bench, 1_500)
    declined = await pay(bench, due, "4000 0000 0000 0002")
    assert "Your card was declined." in declined.text
    assert "invoice.payment_failed" in await bench.events()
    assert (await pay(bench, due, "5555 5555 5555 4444")).status_code == 303
    assert await status(bench, due) == "paid"


async def test_a_card_that_wants_3ds_goes_by_the_bank_and_comes_back(bench: Bench) -> None:
    due = await opened(bench, 1_500)
    bank = (await pay(bench, due, "4000 0027 6000 3184")).headers["location"]
    assert bank.startswith("/3ds/pi_")
    assert await status(bench, due) == "open"
    secret = bank.partition("client_secret=")[2]
    back = await bench.http.post(bank, data={"client_secret": secret, "outcome": "complete"})
    assert back.headers["location"].startswith(str(due.hosted_invoice_url))
    assert await status(bench, due) == "paid"


async def test_invoices_and_credit_notes_download_as_pdf(bench: Bench) -> None:
    due = await opened(bench, *[100] * 60)
    invoice_pdf = await bench.http.get(str(due.invoice_pdf))
    assert invoice_pdf.headers["content-type"] == "application/pdf"
    assert invoice_pdf.content.startswith(b"%PDF-1.4")
    assert invoice_pdf.content.endswith(b"%%EOF\n")
    assert b"(To Ada \\(Bee\\)) Tj" in invoice_pdf.content
    assert b"/MediaBox [0 0 595 842]" not in invoice_pdf.content, "it is longer than A4"
    note = await bench.stripe.v1.credit_notes.create_async({"invoice": due.id, "amount": 500})
    note_pdf = await bench.http.get(note.pdf)
    assert b"(Credit note ADA-0001-CN-01) Tj" in note_pdf.content


async def test_drafts_and_unknown_invoices_have_no_page(bench: Bench) -> None:
    draft = await invoice(bench, await customer(bench, None), 1_500)
    for id in (draft.id, "in_unknown"):
        assert (await bench.http.get(f"/i/{id}")).status_code == 404
        assert (await bench.http.get(f"/i/{id}/pdf")).status_code == 404
