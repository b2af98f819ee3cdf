"""The balance and its transactions: what was earned, what it cost, what went back, what left."""

from collections import Counter

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.listing import list_all
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

_PENDING_FOR = 2 * 24 * 3600


def release_funds(work: Work) -> None:
    """Pending funds become available when their time has come; whoever looks first finds out."""
    due = [
        transaction
        for transaction in work.every("balance_transaction", status="pending")
        if transaction["available_on"] <= work.now
    ]
    for transaction in due:
        work.change(transaction, status="available")
    if due:
        announce_available(work)


def announce_available(work: Work) -> None:
    work.emit("balance.available", _balance(work))


def _came_from(transaction: Body, wanted: object) -> bool:
    """Stripe finds no transaction by the id of a dispute."""
    return bool(transaction["source"] == wanted and transaction["type"] != "adjustment")


balance_transactions = Resource(
    "balance_transaction",
    id_prefix="txn",
    filters={"source": _came_from},
    refresh=release_funds,
)

_REPORTED_AS = {
    "payment": "charge",
    "payment_refund": "refund",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
}
_DESCRIBED_AS = {
    "payout": "STRIPE PAYOUT",
    "payout_cancel": "STRIPE PAYOUT CANCELLATION",
    "payout_failure": "STRIPE PAYOUT FAILURE",
}


def post(
    work: Work, *, type: str, amount: int, source: Body, fee: int = 0, at_once: bool = True
) -> Body:
    """Book a movement that `source` (a charge, a refund, a dispute or a payout) causes."""
    currency = source["currency"]
    details = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Dispute fee" if type == "adjustment" else "Stripe processing fees",
        "type": "stripe_fee",
    }
    return work.create(
        "balance_transaction",
        amount=amount,
        available_on=work.now if at_once else work.now + _PENDING_FOR,
        balance_type="payments",
        currency=currency,
        description=source.get("description") or _DESCRIBED_AS.get(type),
        fee=fee,
        fee_details=[details] if fee else [],
        net=amount - fee,
        reporting_category=_reporting_category(type, amount),
        source=source["id"],
        status="available" if at_once else "pending",
        type=type,
    )


def available(work: Work, currency: str) -> int:
    release_funds(work)
    return _sums(work)["available"][currency]


@balance_transactions.on("get", "/v1/balance_transactions", takes=None)
def transactions(work: Work, params: Body) -> Body:
    """A payout by hand takes an amount, not certain transactions, so it lists none."""
    if "payout" in params:
        work.find("payout", params["payout"])
        raise refused(
            "Balance transaction history can only be filtered on automatic transfers, not manual."
        )
    return list_all(work, balance_transactions, params, url="/v1/balance_transactions")


@balance_transactions.on("get", "/v1/balance")
def balance(work: Work) -> Body:
    release_funds(work)
    return _balance(work)


def _balance(work: Work) -> Body:
    sums = {status: _amounts(counter) for status, counter in _sums(work).items()}
    return {"object": "balance", "livemode": False, **sums}


def _sums(work: Work) -> dict[str, Counter[str]]:
    sums = {"available": Counter[str](), "pending": Counter[str]()}
    for transaction in work.every("balance_transaction"):
        for counter in sums.values():
            counter[transaction["currency"]] += 0
        sums[transaction["status"]][transaction["currency"]] += transaction["net"]
    return sums


def _reporting_category(type: str, amount: int) -> str:
    if type == "adjustment":
        return "dispute" if amount < 0 else "dispute_reversal"
    if type == "payout" and amount > 0:
        return "payout_reversal"
    return _REPORTED_AS.get(type, type)


def _amounts(counter: Counter[str]) -> list[Body]:
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(counter.items() or [("usd", 0)])
    ]
