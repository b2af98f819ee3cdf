"""Credit notes."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import crediting

credit_notes = Resource("credit_note", id_prefix="cn", label="credit note")
credit_note_lines = Resource("credit_note_line_item", id_prefix="cnli")

_FIELDS = "effective_at memo metadata out_of_band_amount reason"
_TAKES = f"{_FIELDS} amount credit_amount email_type invoice lines refund_amount refunds"


@credit_notes.on("post", "/v1/credit_notes", takes=_TAKES)
def create(work: Work, params: Body) -> Body:
    invoice = work.find("invoice", params["invoice"], param="invoice")
    return crediting.credit(
        work, invoice, params, **{"effective_at": work.now, **given(params, _FIELDS)}
    )


@credit_notes.on("get", "/v1/credit_notes/preview", takes=_TAKES)
def preview(work: Work, params: Body) -> Body:
    with work.state.rehearsal():
        return dict(create(work, params))


@credit_notes.on(
    "get",
    "/v1/credit_notes/preview/lines",
    takes=f"{_TAKES} limit starting_after ending_before",
)
def preview_lines(work: Work, params: Body) -> Body:
    return _page(preview(work, params), params, url="/v1/credit_notes/preview/lines")


@credit_notes.on("post", "/v1/credit_notes/{id}", takes="memo metadata")
def update(work: Work, params: Body, id: str) -> Body:
    note = work.find("credit_note", id)
    work.announce("credit_note.updated", note, **changes(note, params, "memo metadata"))
    return note


@credit_notes.on("post", "/v1/credit_notes/{id}/void")
def void(work: Work, id: str) -> Body:
    note = work.find("credit_note", id)
    crediting.take_back(work, note)
    return note


@credit_notes.on(
    "get", "/v1/credit_notes/{credit_note}/lines", takes="limit starting_after ending_before"
)
def lines(work: Work, params: Body, credit_note: str) -> Body:
    note = work.find("credit_note", credit_note)
    return _page(note, params, url=note["lines"]["url"])


def _page(note: Body, params: Body, *, url: str) -> Body:
    return page(note["lines"]["data"], credit_note_lines.label, params, url=url)
