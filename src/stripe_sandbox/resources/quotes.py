"""Quotes: what is offered to a customer, and what becomes of it when it is accepted."""

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.plain import lists
from stripe_sandbox.engine.registry import Download, Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import quoting
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


@quotes.acts("/v1/quotes/{quote}", takes=_FIELDS)
def update(work: Work, quote: Body, params: Body) -> None:
    quoting.require_status(quote, "draft", done="updated")
    _change_plain(work, quote, params)
    quoting.change(work, quote, params)


@quotes.acts("/v1/quotes/{quote}/finalize", takes="expires_at")
def finalize(work: Work, quote: Body, params: Body) -> None:
    _change_plain(work, quote, params)
    quoting.finalize(work, quote)


quotes.acts("/v1/quotes/{quote}/accept")(quoting.accept)
quotes.acts("/v1/quotes/{quote}/cancel")(quoting.cancel)
lists(quotes, "/v1/quotes/{quote}/line_items", "line item", quoting.lines_of)
lists(
    quotes,
    "/v1/quotes/{quote}/computed_upfront_line_items",
    "line item",
    lambda _, quote: quote["computed"]["upfront"]["line_items"]["data"],
)


@quotes.job(_EXPIRE)
def expire(work: Work, quote: Body) -> None:
    if quote["status"] in ("draft", "open"):
        quoting.cancel(work, quote)


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
    text = [f"Quote {body['number']}", *head, "", *rows, "", total, body["footer"] or ""]
    return Download(pdf_of(text), "application/pdf")


def _change_plain(work: Work, quote: Body, params: Body) -> None:
    work.change(quote, **changes(quote, params, _PLAIN))
    work.schedule(_EXPIRE, quote, at=quote["expires_at"])
