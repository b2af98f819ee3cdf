"""The hosted invoice page and its PDF: what is due, the form that pays it, the download."""

from collections.abc import Iterator
from time import gmtime, strftime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.flows import invoice_payments, invoicing
from stripe_sandbox.flows.invoice_lines import lines_of
from stripe_sandbox.flows.money import display
from stripe_sandbox.flows.pdf import pdf_of
from stripe_sandbox.pages.checkout_page import CARD, test_numbers
from stripe_sandbox.pages.rendering import form_values, notice, render, see_other
from stripe_sandbox.resources.payment_methods import usable_method

_SAID = {
    "paid": "This invoice is paid. Thank you.",
    "uncollectible": "This invoice was written off; it can still be paid.",
    "void": "This invoice is void; nothing is due.",
}
_PAYABLE = ("open", "uncollectible")


class InvoicePage:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/i/{id}", self.show, methods=["GET"]),
            Route("/i/{id}", self.pay, methods=["POST"]),
            Route("/i/{id}/pdf", self.download, methods=["GET"]),
            Route("/cn/{id}/pdf", self.download_credit_note, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        invoice = self._invoice(request)
        return self._page(invoice) if invoice else _unknown()

    async def pay(self, request: Request) -> Response:
        values = await form_values(request)
        invoice = self._invoice(request)
        if invoice is None:
            return _unknown()
        try:
            address = self._attempt(invoice, values)
        except StripeError as error:
            return self._page(invoice, values, problem=str(error))
        return see_other(address)

    async def download(self, request: Request) -> Response:
        invoice = self._invoice(request)
        if invoice is None:
            return _unknown()
        with self._sandbox.work() as work:
            return _pdf(invoice, [*_head(invoice, "Invoice"), *_rows(lines_of(work, invoice))])

    async def download_credit_note(self, request: Request) -> Response:
        note = self._sandbox.state.get("credit_note", request.path_params["id"])
        if note is None:
            return _unknown()
        lines = [{**line, "currency": note["currency"]} for line in note["lines"]["data"]]
        return _pdf(note, [*_head(note, "Credit note"), *_rows(lines)])

    def _invoice(self, request: Request) -> Body | None:
        """Drafts have no page yet."""
        invoice = self._sandbox.state.get("invoice", request.path_params["id"])
        return invoice if invoice and invoice["status"] != "draft" else None

    def _attempt(self, invoice: Body, values: dict[str, str]) -> str:
        """Pay by card; returns where the customer goes on: back here, or to the bank first."""
        page = f"/i/{invoice['id']}"
        with self._sandbox.work() as work:
            work.keep_time_of([invoice["id"]])
            billing = {"email": invoice["customer_email"], "name": values.get("name") or None}
            method = usable_method(work, values.get("number", ""), billing=billing)
            invoicing.pay(work, invoice, method=method, off_session=False)
            intent = invoice_payments.intent_of(work, invoice)
            if intent is None or intent["status"] != "requires_action":
                return page
            work.remember(intent["id"], return_url=invoice["hosted_invoice_url"])
            return f"/3ds/{intent['id']}?client_secret={intent['client_secret']}"

    def _page(
        self, invoice: Body, typed: dict[str, str] | None = None, *, problem: str = ""
    ) -> Response:
        with self._sandbox.work() as work:
            lines = lines_of(work, invoice)
            intent = invoice_payments.intent_of(work, invoice)
        waits = intent is not None and intent["status"] == "processing"
        payable = intent is not None and invoice["status"] in _PAYABLE and not waits
        return render(
            "invoice.html",
            title=f"Invoice {invoice['number']}",
            invoice=invoice,
            lines=lines,
            said="The payment is on its way." if waits else _SAID.get(invoice["status"], ""),
            due=_day(invoice["due_date"]),
            payable=payable,
            typed={**CARD, **(typed or {})},
            problem=problem,
            numbers=test_numbers(intent["payment_method_types"]) if intent and payable else [],
        )


def _head(document: Body, kind: str) -> Iterator[str]:
    yield "Offline sandbox - no real money"
    yield ""
    yield f"{kind} {document['number']}"
    yield f"Date {_day(document['effective_at'])}"
    if name := document.get("customer_name") or document.get("customer_email"):
        yield f"To {name}"
    yield f"Total {display(document['total'], document['currency'])}"
    if "amount_due" in document:
        yield f"Due {display(document['amount_remaining'], document['currency'])}"
    yield ""


def _rows(lines: list[Body]) -> Iterator[str]:
    for line in lines:
        amount = display(line["amount"], line["currency"])
        yield f"{line['quantity'] or 1} x {line['description'] or 'Item'}: {amount}"


def _pdf(document: Body, lines: list[str]) -> Response:
    name = f'attachment; filename="{document["number"]}.pdf"'
    return Response(pdf_of(lines), 200, {"Content-Disposition": name}, "application/pdf")


def _day(moment: int | None) -> str:
    return strftime("%Y-%m-%d", gmtime(moment)) if moment else ""


def _unknown() -> Response:
    text = "The address is wrong, or the invoice is no longer there."
    return notice("No such invoice", text, status=404)
