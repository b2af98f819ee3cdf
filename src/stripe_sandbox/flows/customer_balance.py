"""What a customer is owed, or owes, from one invoice to the next."""

from typing import Any

from stripe_sandbox.contract.errors import StripeError, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import least_charge

_ENDED = ("canceled", "incomplete_expired")


def bill_in(work: Work, customer: Body, currency: str) -> None:
    """The first bill settles in which currency a customer is billed, while anything is billed."""
    held = customer["currency"]
    if held is None:
        work.announce("customer.updated", customer, currency=currency)
    elif held != currency and _is_billed(work, customer, held):
        raise _combined_with(held)


def require_combinable(work: Work, customer: Body, currency: str) -> None:
    """Refuse a page for a subscription in another currency than what is billed, or is about to be:
    another such page is open.
    """
    held = customer["currency"]
    if held not in (None, currency) and _is_billed(work, customer, held):
        raise _combined_with(held)
    mine = {"customer": customer["id"], "mode": "subscription", "status": "open"}
    for session in work.every("checkout.session", **mine):
        if session["currency"] != currency:
            raise _combined_with(session["currency"])


def _combined_with(currency: str) -> StripeError:
    return refused(
        "You cannot combine currencies on a single customer. This customer has an active"
        " subscription, subscription schedule, discount, quote, invoice item or active subscription"
        f" mode checkout session with currency {currency}."
    )


def _is_billed(work: Work, customer: Body, currency: str) -> bool:
    mine = {"customer": customer["id"], "currency": currency}
    living = (s for s in work.every("subscription", **mine) if s["status"] not in _ENDED)
    return any(living) or any(work.every("invoiceitem", **mine, invoice=None))


def balance_in(customer: Body, currency: str) -> int:
    """Negative: the customer has credit; a customer who is gone has none."""
    return customer["balance"] if customer.get("currency") == currency else 0


def move_balance(
    work: Work, customer: Body, amount: int, *, currency: str, type: str, **fields: Any
) -> Body:
    """Book a change of the balance; a negative amount is a credit."""
    if customer["currency"] not in (None, currency):
        raise refused(
            f"The customer's balance is in {customer['currency']}, so it cannot take an amount in"
            f" {currency}.",
            param="currency",
        )
    ending = customer["balance"] + amount
    transaction = work.create(
        "customer_balance_transaction",
        amount=amount,
        currency=currency,
        customer=customer["id"],
        ending_balance=ending,
        type=type,
        **fields,
    )
    work.announce("customer.updated", customer, balance=ending, currency=currency)
    return transaction


def settle_balance(work: Work, invoice: Body, customer: Body) -> Body:
    """Use the customer's credit or debt up; what is too little to charge is owed until later."""
    currency, total, balance = invoice["currency"], invoice["total"], invoice["starting_balance"]
    due = max(0, total + balance)
    owed = due if due < least_charge(currency) else 0
    ending = min(0, total + balance) + owed
    used = ending - owed - balance
    for type, amount in (("applied_to_invoice", used), ("invoice_too_small", owed)):
        if amount:
            move_balance(
                work, customer, amount, currency=currency, type=type, invoice=invoice["id"]
            )
    due -= owed
    return {"amount_due": due, "amount_remaining": due, "ending_balance": ending}
