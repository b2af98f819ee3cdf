"""Payouts by hand: what leaves the available balance for a bank account; automatic ones are off."""

from stripe_sandbox.config import ACCOUNT
from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.listing import within
from stripe_sandbox.engine.plain import updates
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import known_currency, require_representable
from stripe_sandbox.resources.balance import available, post

payouts = Resource(
    "payout", id_prefix="po", param="payout", filters={"arrival_date": within("arrival_date")}
)
bank_accounts = Resource("bank_account", id_prefix="ba", label="external account")

BANK, CLOSED_BANK = "ba_sandbox", "ba_sandbox_no_account"

_IN_ITS_COUNTRY = {"country": "US", "currency": "usd", "routing_number": "110000000"}
_DEFAULTS = {"destination": BANK, "method": "standard", "source_type": "card"}
_DAY = 24 * 3600
_DAYS_ON_THE_WAY = 2
_FIELDS = "amount description destination metadata statement_descriptor"


@bank_accounts.at_start
def open_bank_accounts(work: Work) -> None:
    """Where payouts can go: to the account's bank, or to one where they fail."""
    for id, last4 in ((BANK, "6789"), (CLOSED_BANK, "1116")):
        if work.get("bank_account", id) is None:
            fields = {**_IN_ITS_COUNTRY, "account": ACCOUNT, "last4": last4, "status": "new"}
            work.create("bank_account", id=id, **fields)


@payouts.on("post", "/v1/payouts", takes=f"{_FIELDS} currency")
def create(work: Work, params: Body) -> Body:
    amount, currency = params["amount"], known_currency(params["currency"])
    require_representable(amount, currency)
    work.find("bank_account", params.get("destination", BANK), param="destination")
    if amount > available(work, currency):
        raise refused(
            "You have insufficient funds in your Stripe account for this transfer. Your card"
            " balance is too low. You can use the /v1/balance endpoint to view your Stripe balance"
            " (for more details, see stripe.com/docs/api#balance).",
            code="balance_insufficient",
        )
    payout = work.create(
        "payout",
        arrival_date=(work.now // _DAY + _DAYS_ON_THE_WAY) * _DAY,
        currency=currency,
        reconciliation_status="not_applicable",
        status="pending",
        trace_id={"status": "pending"},
        type="bank_account",
        **{**_DEFAULTS, **given(params, _FIELDS)},
    )
    moved = post(work, type="payout", amount=-amount, source=payout)
    work.change(payout, balance_transaction=moved["id"])
    work.emit("payout.created", payout)
    work.settle_later("payout.send", payout)
    return payout


@payouts.acts("/v1/payouts/{payout}/cancel")
def cancel(work: Work, payout: Body) -> None:
    if payout["status"] != "pending":
        raise refused(f"A payout with a status of `{payout['status']}` can no longer be canceled.")
    work.unschedule("payout.send", payout)
    _take_back(work, payout, type="payout_cancel", status="canceled")


updates(payouts, "/v1/payouts/{payout}", "metadata")


@payouts.job("payout.send")
def send(work: Work, payout: Body) -> None:
    work.announce("payout.updated", payout, status="in_transit")
    work.settle_later("payout.arrive", payout)


@payouts.job("payout.arrive")
def arrive(work: Work, payout: Body) -> None:
    if payout["destination"] == CLOSED_BANK:
        text = "The bank account could not be located with these details."
        work.change(payout, failure_code="no_account", failure_message=text)
        _take_back(work, payout, type="payout_failure", status="failed")
        return
    trace = {"status": "supported", "value": payout["id"][3:]}
    work.change(payout, status="paid", trace_id=trace)
    work.emit("payout.paid", payout)


def _take_back(work: Work, payout: Body, *, type: str, status: str) -> None:
    back = post(work, type=type, amount=payout["amount"], source=payout)["id"]
    unsupported = {"status": "unsupported", "value": None}
    work.change(payout, status=status, failure_balance_transaction=back, trace_id=unsupported)
    work.emit(f"payout.{status}", payout)
