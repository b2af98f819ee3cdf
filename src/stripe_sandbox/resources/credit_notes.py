"""Credit notes."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.plain import updates
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import crediting

credit_notes = Resource("credit_note", id_prefix="cn", label="credit note")
credit_note_lines = Resource("credit_note_line_item", id_prefix="cnli")

_FIELDS = "effective_at memo metadata out_of_band_amount reason"
_AMOUNTS = "amount credit_amount lines refund_amount"


@credit_notes.on("post", "/v1/credit_notes", takes=f"{_FIELDS} {_AMOUNTS} invoice")
def create(work: Work, params: Body) -> Body:
    invoice = work.find("invoice", params["invoice"], param="invoice")
    fields = {"effective_at": work.now, **given(params, _FIELDS)}
    return crediting.credit(work, invoice, params, **fields)


updates(credit_notes, "/v1/credit_notes/{id}", "memo metadata")
credit_notes.acts("/v1/credit_notes/{id}/void")(crediting.take_back)
