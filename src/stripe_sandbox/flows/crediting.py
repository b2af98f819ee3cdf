"""Credit notes: what they credit, and how it reaches the customer."""

from typing import Any

from stripe_sandbox.contract.errors import invalid, not_simulated, refused
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments
from stripe_sandbox.flows.customer_balance import move_balance
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.money import display
from stripe_sandbox.resources import refunds

_LINE = frozenset({"description", "metadata", "quantity", "type", "unit_amount"})
_WAYS_BACK = ("credit_amount", "out_of_band_amount", "refund_amount")


def credit(work: Work, invoice: Body, params: Body, **fields: Any) -> Body:
    """Issue a credit note: first what is still due goes down, the rest is given back."""
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise refused("You can only create a credit note on a finalized invoice.", param="invoice")
    lines = _lines(work, params)
    total = sum(line["amount"] for line in lines)
    before = min(total, invoice["amount_remaining"])
    after = total - before
    _require_creditable(invoice, total, params, after)
    earlier = sum(1 for _ in work.every("credit_note", invoice=invoice["id"]))
    totals = ("amount", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax")
    note = work.create(
        "credit_note",
        **fields,
        **dict.fromkeys(totals, total),
        currency=invoice["currency"],
        customer=invoice["customer"],
        invoice=invoice["id"],
        number=f"{invoice['number']}-CN-{earlier + 1:02d}",
        post_payment_amount=after,
        pre_payment_amount=before,
        status="issued",
        total_taxes=[],
        type="mixed" if before and after else "pre_payment" if before else "post_payment",
    )
    shown = as_list(lines, url=f"/v1/credit_notes/{note['id']}/lines")
    work.change(note, lines=shown, pdf=f"{work.config.base_url}/cn/{note['id']}/pdf")
    _give_back(work, invoice, note, params)
    work.emit("credit_note.created", note)
    _tell_invoice(work, invoice, before=before, after=after)
    return note


def take_back(work: Work, note: Body) -> None:
    """Void a credit note: its amount is due again."""
    invoice = work.find("invoice", note["invoice"])
    if note["status"] != "issued" or invoice["status"] != "open":
        raise refused("You can only void an issued credit note of an open invoice.")
    work.change(note, status="void", voided_at=work.now)
    work.emit("credit_note.voided", note)
    _tell_invoice(work, invoice, before=-note["pre_payment_amount"], after=0)


def _lines(work: Work, params: Body) -> list[Body]:
    if ("amount" in params) is bool(params.get("lines")):
        text = "You must specify exactly one of `amount` and `lines`."
        raise invalid(text, code="parameter_missing", param="amount")
    whole = {"type": "custom_line_item", "description": "Credit"}
    wanted = params.get("lines") or [{**whole, "unit_amount": params["amount"]}]
    return [_line(work, one, f"lines[{i}]") for i, one in enumerate(wanted)]


def _line(work: Work, wanted: Body, at: str) -> Body:
    require_simulated(wanted, _LINE, where=at)
    if wanted["type"] != "custom_line_item":
        raise not_simulated("credit of the lines of an invoice")
    for name in ("description", "unit_amount"):
        if name not in wanted:
            text = "A custom line item needs a `description` and a `unit_amount`."
            raise invalid(text, code="parameter_missing", param=f"{at}[{name}]")
    unit, quantity = wanted["unit_amount"], wanted.get("quantity", 1)
    sizes = {"amount": unit * quantity, "quantity": quantity, "unit_amount_decimal": str(unit)}
    id = work.new_id("credit_note_line_item")
    fields = {"id": id, "metadata": {}, "taxes": [], **wanted, **sizes}
    return filled(resource_class("credit_note_line_item"), fields)


def _require_creditable(invoice: Body, total: int, params: Body, after: int) -> None:
    currency, credited = (
        invoice["currency"],
        (invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]),
    )
    most = invoice["total"] - credited
    if not 0 < total <= most:
        raise refused(
            f"The amount of the credit note ({display(total, currency)}) must be positive and at"
            f" most what is left to credit on the invoice ({display(most, currency)}).",
            param="amount",
        )
    given = sum(params.get(name, 0) for name in _WAYS_BACK)
    if given != after:
        raise refused(
            "The sum of `refund_amount`, `refunds`, `credit_amount` and `out_of_band_amount`"
            f" ({display(given, currency)}) must equal the post-payment amount of the credit note"
            f" ({display(after, currency)})."
        )


def _give_back(work: Work, invoice: Body, note: Body, params: Body) -> None:
    if amount := params.get("refund_amount"):
        refund = refunds.create(work, {"payment_intent": _payer(work, invoice), "amount": amount})
        link = {"amount_refunded": amount, "refund": refund["id"], "type": "refund"}
        work.change(note, refunds=[{**link, "payment_record_refund": None}])
    if amount := params.get("credit_amount"):
        customer = work.find("customer", invoice["customer"])
        cause = {"type": "credit_note", "credit_note": note["id"], "invoice": invoice["id"]}
        booked = move_balance(work, customer, -amount, currency=invoice["currency"], **cause)
        work.change(note, customer_balance_transaction=booked["id"])


def _payer(work: Work, invoice: Body) -> object:
    for payment in work.every("invoice_payment", invoice=invoice["id"], status="paid"):
        return payment["payment"]["payment_intent"]
    raise refused("There is no payment of this invoice to refund.", param="refund_amount")


def _tell_invoice(work: Work, invoice: Body, *, before: int, after: int) -> None:
    lowered = {name: invoice[name] - before for name in ("amount_due", "amount_remaining")}
    by_time = {"post_payment": after, "pre_payment": before}
    names = {f"{time}_credit_notes_amount": amount for time, amount in by_time.items()}
    credited = {name: invoice[name] + amount for name, amount in names.items()}
    work.announce("invoice.updated", invoice, **lowered, **credited)
    if before and invoice["amount_remaining"]:
        invoice_payments.ask_for(work, invoice, invoice["amount_remaining"])
    elif before:
        invoice_payments.settle(work, invoice)
        invoice_payments.give_up(work, invoice, reason="automatic")
