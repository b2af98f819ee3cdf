"""Quotes: what is offered to a customer, and what becomes of it when it is accepted."""

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Download, Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import quoting
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.money import display
from stripe_sandbox.flows.pdf import pdf_of

quotes = Resource("quote", id_prefix="qt", param="quote")

_EXPIRE = "quote.expire"
_PLAIN = "collection_method description expires_at footer header metadata"
_FIELDS = f"{_PLAIN} automatic_tax customer discounts invoice_settings line_items subscription_data"


@quotes.on("post", "/v1/quotes", takes=f"{_FIELDS} test_clock")
def create(work: Work, params: Body) -> Body:
    quote = work.create(
        "quote",
        status="draft",
        **{
            "expires_at": work.now + quoting.OPEN_FOR,
            "invoice_settings": {"issuer": {"type": "self"}},
            "subscription_data": quoting.SUBSCRIPTION_DATA,
            "test_clock": work.clock,
            **given(params, _PLAIN),
        },
    )
    quoting.change(work, quote, params)
    work.schedule(_EXPIRE, quote, at=quote["expires_at"])
    work.emit("quote.created", quote)
    return quote


@quotes.on("post", "/v1/quotes/{quote}", takes=_FIELDS)
def update(work: Work, params: Body, quote: str) -> Body:
    body = work.find("quote", quote)
    quoting.require_status(body, "draft", done="updated")
    work.change(body, **changes(body, params, _PLAIN))
    quoting.change(work, body, params)
    work.schedule(_EXPIRE, body, at=body["expires_at"])
    return body


@quotes.on("post", "/v1/quotes/{quote}/finalize", takes="expires_at")
def finalize(work: Work, params: Body, quote: str) -> Body:
    body = work.find("quote", quote)
    work.change(body, **changes(body, params, "expires_at"))
    quoting.finalize(work, body)
    work.schedule(_EXPIRE, body, at=body["expires_at"])
    return body


@quotes.on("post", "/v1/quotes/{quote}/accept")
def accept(work: Work, quote: str) -> Body:
    body = work.find("quote", quote)
    quoting.accept(work, body)
    work.unschedule(_EXPIRE, body)
    return body


@quotes.on("post", "/v1/quotes/{quote}/cancel")
def cancel(work: Work, quote: str) -> Body:
    body = work.find("quote", quote)
    quoting.cancel(work, body)
    work.unschedule(_EXPIRE, body)
    return body


@quotes.job(_EXPIRE)
def expire(work: Work, subject: str) -> None:
    quoting.cancel(work, work.find("quote", subject))


@quotes.on("get", "/v1/quotes/{quote}/line_items", takes=None)
def line_items(work: Work, params: Body, quote: str) -> Body:
    lines = quoting.lines_of(work, work.find("quote", quote))
    return page(lines, "line item", params, url=f"/v1/quotes/{quote}/line_items")


@quotes.on("get", "/v1/quotes/{quote}/computed_upfront_line_items", takes=None)
def upfront_line_items(work: Work, params: Body, quote: str) -> Body:
    lines = work.find("quote", quote)["computed"]["upfront"]["line_items"]["data"]
    url = f"/v1/quotes/{quote}/computed_upfront_line_items"
    return page(lines, "line item", params, url=url)


@quotes.includes("line_items")
def shown_line_items(work: Work, quote: Body) -> Body:
    return as_list(quoting.lines_of(work, quote), url=f"/v1/quotes/{quote['id']}/line_items")


@quotes.beside_contract("get", "/v1/quotes/{quote}/pdf")
def pdf(work: Work, quote: str) -> Download:
    body = work.find("quote", quote)
    if body["status"] == "draft":
        raise refused("A quote has a PDF once it is finalized.")
    currency = body["currency"] or "usd"
    rows = [
        f"{line['quantity']} x {line['description']}: {display(line['amount_total'], currency)}"
        for line in quoting.lines_of(work, body)
    ]
    total = f"Total {display(body['amount_total'], currency)}"
    head = [text for text in (body["header"], body["description"]) if text]
    return Download(
        pdf_of([f"Quote {body['number']}", *head, "", *rows, "", total, body["footer"] or ""]),
        "application/pdf",
    )
