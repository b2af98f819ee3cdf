"""The balance and its transactions: what was earned, what it cost, what went back, what left."""

from collections import Counter

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

_PENDING_FOR = 2 * 24 * 3600


def release_funds(work: Work) -> None:
    """Pending funds become available when their time has come; whoever looks first finds out."""
    pending = work.every("balance_transaction", status="pending")
    due = [transaction for transaction in pending if transaction["available_on"] <= work.now]
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
    charged_for = "Dispute fee" if type == "adjustment" else "Stripe processing fees"
    details = {"amount": fee, "application": None, "currency": currency, "type": "stripe_fee"}
    return work.create(
        "balance_transaction",
        amount=amount,
        available_on=work.now if at_once else work.now + _PENDING_FOR,
        balance_type="payments",
        currency=currency,
        description=source.get("description") or _DESCRIBED_AS.get(type),
        fee=fee,
        fee_details=[{**details, "description": charged_for}] if fee else [],
        net=amount - fee,
        reporting_category=_reporting_category(type, amount),
        source=source["id"],
        status="available" if at_once else "pending",
        type=type,
    )


def available(work: Work, currency: str) -> int:
    release_funds(work)
    return _sums(work)["available"][currency]


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
    return _REPORTED_AS.get(type, type)


def _amounts(counter: Counter[str]) -> list[Body]:
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(counter.items() or [("usd", 0)])
    ]
