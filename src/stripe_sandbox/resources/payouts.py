"""Payouts by hand: what leaves the available balance for a bank account; automatic ones are off."""

from typing import Any

from stripe_sandbox.config import ACCOUNT
from stripe_sandbox.contract.errors import StripeError, invalid, not_simulated, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import within
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import known_currency, require_representable
from stripe_sandbox.resources.balance import available, post

payouts = Resource(
    "payout", id_prefix="po", param="payout", filters={"arrival_date": within("arrival_date")}
)
bank_accounts = Resource(
    "bank_account", id_prefix="ba", label="external account", param="destination"
)

BANK, CLOSED_BANK = "ba_sandbox", "ba_sandbox_no_account"

_DAY = 24 * 3600
_DAYS_ON_THE_WAY = {"instant": 0, "standard": 2}
_LONGEST_DESCRIPTOR = 22
_FIELDS = "description metadata method statement_descriptor"


@bank_accounts.at_start
def open_bank_accounts(work: Work) -> None:
    """Where payouts can go: to the account's bank, or to one where they fail."""
    for id, number in ((BANK, "000123456789"), (CLOSED_BANK, "000111111116")):
        if work.get("bank_account", id) is None:
            work.create(
                "bank_account",
                id=id,
                account=ACCOUNT,
                bank_name="STRIPE TEST BANK",
                country="US",
                currency="usd",
                default_for_currency=id == BANK,
                last4=number[-4:],
                routing_number="110000000",
                status="new",
            )


@payouts.on("post", "/v1/payouts", takes=f"{_FIELDS} amount currency destination source_type")
def create(work: Work, params: Body) -> Body:
    currency = known_currency(params["currency"])
    require_representable(params["amount"], currency)
    _require_simple(params)
    destination = params.get("destination", BANK)
    work.find("bank_account", destination)
    if params["amount"] > available(work, currency):
        raise _too_much()
    return _begin(
        work,
        amount=params["amount"],
        currency=currency,
        destination=destination,
        **given(params, _FIELDS),
    )


@payouts.on("post", "/v1/payouts/{payout}", takes="metadata")
def update(work: Work, params: Body, payout: str) -> Body:
    body = work.find("payout", payout)
    work.announce("payout.updated", body, **changes(body, params, "metadata"))
    return body


@payouts.on("post", "/v1/payouts/{payout}/cancel")
def cancel(work: Work, payout: str) -> Body:
    body = work.find("payout", payout)
    if body["status"] != "pending":
        raise refused(
            "Payouts can only be canceled while they are pending; this one has a status of"
            f" `{body['status']}`."
        )
    work.unschedule("payout.send", body)
    _take_back(work, body, type="payout_cancel", status="canceled")
    work.emit("payout.canceled", body)
    return body


@payouts.on("post", "/v1/payouts/{payout}/reverse", takes="metadata")
def reverse(work: Work, params: Body, payout: str) -> Body:
    """Fetch the money back from the bank, by a payout the other way round."""
    body = work.find("payout", payout)
    if body["status"] != "paid" or body["reversed_by"] or body["original_payout"]:
        raise refused("Only a payout that was paid, and not yet reversed, can be reversed.")
    back = _begin(
        work,
        amount=-body["amount"],
        currency=body["currency"],
        destination=body["destination"],
        original_payout=body["id"],
        **given(params, "metadata"),
    )
    work.announce("payout.updated", body, reversed_by=back["id"])
    return back


@payouts.job("payout.send")
def send(work: Work, subject: str) -> None:
    payout = work.find("payout", subject)
    work.announce("payout.updated", payout, status="in_transit")
    work.settle_later("payout.arrive", payout)


@payouts.job("payout.arrive")
def arrive(work: Work, subject: str) -> None:
    payout = work.find("payout", subject)
    if payout["destination"] == CLOSED_BANK:
        work.change(
            payout,
            failure_code="no_account",
            failure_message="The bank account details on file are probably incorrect. No bank"
            " account could be located with those details.",
        )
        _take_back(work, payout, type="payout_failure", status="failed")
        work.emit("payout.failed", payout)
        return
    work.change(payout, status="paid", trace_id={"status": "supported", "value": payout["id"][3:]})
    work.emit("payout.paid", payout)


def _begin(work: Work, *, amount: int, **fields: Any) -> Body:
    fields = {"method": "standard", **fields}
    today = work.now // _DAY
    payout = work.create(
        "payout",
        amount=amount,
        arrival_date=(today + _DAYS_ON_THE_WAY[fields["method"]]) * _DAY,
        reconciliation_status="not_applicable",
        source_type="card",
        status="pending",
        trace_id={"status": "pending", "value": None},
        type="bank_account",
        **fields,
    )
    moved = post(work, type="payout", amount=-amount, source=payout)
    work.change(payout, balance_transaction=moved["id"])
    work.emit("payout.created", payout)
    work.settle_later("payout.send", payout)
    return payout


def _take_back(work: Work, payout: Body, *, type: str, status: str) -> None:
    returned = post(work, type=type, amount=payout["amount"], source=payout)
    unsupported = {"status": "unsupported", "value": None}
    work.change(
        payout, status=status, failure_balance_transaction=returned["id"], trace_id=unsupported
    )


def _require_simple(params: Body) -> None:
    if params.get("source_type", "card") != "card":
        raise not_simulated("a balance apart from that of the cards")
    if len(params.get("statement_descriptor", "")) > _LONGEST_DESCRIPTOR:
        text = f"The statement descriptor must be at most {_LONGEST_DESCRIPTOR} characters."
        raise invalid(text, param="statement_descriptor")


def _too_much() -> StripeError:
    return refused(
        "You have insufficient funds in your Stripe account for this transfer. Your card balance is"
        " too low. You can use the /v1/balance endpoint to view your Stripe balance (for more"
        " details, see stripe.com/docs/api#balance).",
        code="balance_insufficient",
    )
