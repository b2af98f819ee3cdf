"""Credit notes: what they credit, and how it reaches the customer."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe_sandbox.contract.errors import invalid, not_simulated, refused
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import invoice_payments
from stripe_sandbox.flows.customer_balance import move_balance
from stripe_sandbox.flows.invoice_lines import lines_of
from stripe_sandbox.flows.lines import as_list
from stripe_sandbox.flows.money import display
from stripe_sandbox.resources import refunds

_TAKES = "amount description invoice_line_item metadata quantity type unit_amount"
_LINE = frozenset(f"{_TAKES} unit_amount_decimal".split())


def credit(work: Work, invoice: Body, params: Body, **fields: Any) -> Body:
    """Issue a credit note: first what is still due goes down, the rest is given back."""
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise refused("You can only create a credit note on a finalized invoice.", param="invoice")
    lines = _lines(work, invoice, params)
    sums = _sums(lines)
    remaining = invoice["amount_remaining"] if invoice["status"] != "paid" else 0
    before = min(sums["total"], remaining)
    after = sums["total"] - before
    _require_creditable(invoice, sums["total"], params, after)
    note = work.create(
        "credit_note",
        **fields,
        **sums,
        amount=sums["total"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        invoice=invoice["id"],
        number=_number(work, invoice),
        post_payment_amount=after,
        pre_payment_amount=before,
        status="issued",
        type="mixed" if before and after else "pre_payment" if before else "post_payment",
    )
    url = f"/v1/credit_notes/{note['id']}/lines"
    work.change(
        note, lines=as_list(lines, url=url), pdf=f"{work.config.base_url}/cn/{note['id']}/pdf"
    )
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


def _lines(work: Work, invoice: Body, params: Body) -> list[Body]:
    if ("amount" in params) is bool(params.get("lines")):
        text = "You must specify exactly one of `amount` and `lines`."
        raise invalid(text, code="parameter_missing", param="amount")
    whole = {"type": "custom_line_item", "description": "Credit"}
    wanted = params.get("lines") or [{**whole, "unit_amount": params["amount"]}]
    return [_line(work, invoice, one, f"lines[{i}]") for i, one in enumerate(wanted)]


def _line(work: Work, invoice: Body, wanted: Body, at: str) -> Body:
    require_simulated(wanted, _LINE, where=at)
    of_invoice = wanted["type"] == "invoice_line_item"
    fields = _invoiced(work, invoice, wanted, at) if of_invoice else _custom(wanted, at)
    body = {
        "id": work.new_id("credit_note_line_item"),
        "metadata": wanted.get("metadata") or {},
        "taxes": [],
        "type": wanted["type"],
        **fields,
    }
    return filled(resource_class("credit_note_line_item"), body)


def _custom(wanted: Body, at: str) -> Body:
    quantity = wanted.get("quantity", 1)
    unit = wanted.get("unit_amount", wanted.get("unit_amount_decimal"))
    if unit is None or not wanted.get("description"):
        text = "A custom line item needs a `description` and a `unit_amount`."
        name = "description" if unit is not None else "unit_amount"
        raise invalid(text, code="parameter_missing", param=f"{at}[{name}]")
    exact = Decimal(unit)
    return {
        "amount": int((exact * quantity).quantize(Decimal(1), ROUND_HALF_UP)),
        "description": wanted["description"],
        "quantity": quantity,
        "unit_amount": int(exact) if exact == int(exact) else None,
        "unit_amount_decimal": f"{exact:f}",
    }


def _invoiced(work: Work, invoice: Body, wanted: Body, at: str) -> Body:
    """A share of a line of the invoice, with the same share of its discounts and taxes."""
    lines = {line["id"]: line for line in lines_of(work, invoice)}
    line = lines.get(wanted.get("invoice_line_item", ""))
    if line is None:
        text = "There is no such line on the invoice."
        raise invalid(text, param=f"{at}[invoice_line_item]")
    whole = line["quantity"] or 1
    quantity = wanted.get("quantity") or whole
    amount = wanted.get("amount", _share(line["amount"], quantity, whole))
    if amount > line["amount"] or quantity > whole:
        raise invalid("You cannot credit more than the line of the invoice.", param=at)
    discounts, taxes = (
        [{**entry, "amount": _share(entry["amount"], amount, line["amount"])} for entry in entries]
        for entries in (line["discount_amounts"] or [], line["taxes"] or [])
    )
    unit = Decimal(amount) / quantity
    return {
        "amount": amount,
        "description": line["description"],
        "discount_amount": sum(entry["amount"] for entry in discounts),
        "discount_amounts": discounts,
        "invoice_line_item": line["id"],
        "quantity": None if "amount" in wanted else quantity,
        "taxes": taxes,
        "unit_amount": int(unit) if unit == int(unit) else None,
        "unit_amount_decimal": f"{unit:.12g}",
    }


def _sums(lines: list[Body]) -> Body:
    """The totals of the lines; taxes that a price includes are within its amount."""
    taxes = [tax for line in lines for tax in line["taxes"]]
    discounts = [entry for line in lines for entry in line["discount_amounts"]]
    inclusive, exclusive = (
        sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == behavior)
        for behavior in ("inclusive", "exclusive")
    )
    subtotal = sum(line["amount"] for line in lines)
    discounted = subtotal - sum(entry["amount"] for entry in discounts)
    return {
        "discount_amount": subtotal - discounted,
        "discount_amounts": discounts,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": discounted + exclusive,
        "total_excluding_tax": discounted - inclusive,
        "total_taxes": taxes,
    }


def _require_creditable(invoice: Body, total: int, params: Body, after: int) -> None:
    credited = (
        invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    )
    currency, most = invoice["currency"], invoice["total"] - credited
    if not 0 < total <= most:
        raise refused(
            f"The amount of the credit note ({display(total, currency)}) must be positive and at"
            f" most what is left to credit on the invoice ({display(most, currency)}).",
            param="amount",
        )
    linked = sum(entry.get("amount_refunded", 0) for entry in params.get("refunds", []))
    names = ("credit_amount", "out_of_band_amount", "refund_amount")
    given = linked + sum(params.get(name, 0) for name in names)
    if given != after:
        raise refused(
            "The sum of `refund_amount`, `refunds`, `credit_amount` and `out_of_band_amount`"
            f" ({display(given, currency)}) must equal the post-payment amount of the credit note"
            f" ({display(after, currency)})."
        )


def _give_back(work: Work, invoice: Body, note: Body, params: Body) -> None:
    linked = [_linked(work, entry) for entry in params.get("refunds", [])]
    if amount := params.get("refund_amount"):
        refund = refunds.create(work, {"payment_intent": _payer(work, invoice), "amount": amount})
        linked.append({"amount_refunded": amount, "refund": refund["id"], "type": "refund"})
    work.change(note, refunds=[{**entry, "payment_record_refund": None} for entry in linked])
    if amount := params.get("credit_amount"):
        customer = work.find("customer", invoice["customer"])
        booked = move_balance(
            work,
            customer,
            -amount,
            currency=invoice["currency"],
            type="credit_note",
            credit_note=note["id"],
            invoice=invoice["id"],
        )
        work.change(note, customer_balance_transaction=booked["id"])


def _linked(work: Work, entry: Body) -> Body:
    if "refund" not in entry:
        raise not_simulated("credit notes with refunds of payment records")
    refund = work.find("refund", entry["refund"], param="refunds")
    amount = entry.get("amount_refunded", refund["amount"])
    return {"amount_refunded": amount, "refund": refund["id"], "type": "refund"}


def _payer(work: Work, invoice: Body) -> str:
    payments = work.every("invoice_payment", invoice=invoice["id"], status="paid")
    payment = next(payments, None)
    if payment is None:
        text = "There is no payment of this invoice to refund."
        raise refused(text, param="refund_amount")
    intent: str = payment["payment"]["payment_intent"]
    return intent


def _tell_invoice(work: Work, invoice: Body, *, before: int, after: int) -> None:
    due, remaining = invoice["amount_due"] - before, invoice["amount_remaining"] - before
    work.announce(
        "invoice.updated",
        invoice,
        amount_due=due,
        amount_remaining=remaining,
        post_payment_credit_notes_amount=invoice["post_payment_credit_notes_amount"] + after,
        pre_payment_credit_notes_amount=invoice["pre_payment_credit_notes_amount"] + before,
    )
    if not before:
        return
    if remaining:
        invoice_payments.ask_for(work, invoice, remaining)
    else:
        invoice_payments.settle(work, invoice)
        invoice_payments.give_up(work, invoice, reason="automatic")


def _number(work: Work, invoice: Body) -> str:
    earlier = sum(1 for _ in work.every("credit_note", invoice=invoice["id"]))
    return f"{invoice['number']}-CN-{earlier + 1:02d}"


def _share(amount: int, part: int, whole: int) -> int:
    exact = Decimal(amount * part) / (whole or 1)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))
