"""The balance and its transactions: what was earned, what it cost, what went back."""

from collections import Counter

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

_PENDING_FOR = 2 * 24 * 3600


def release_funds(work: Work) -> None:
    """Pending funds become available when their time has come; nobody is told."""
    for transaction in list(work.every("balance_transaction", status="pending")):
        if transaction["available_on"] <= work.now:
            work.change(transaction, status="available")


def _came_from(transaction: Body, wanted: object) -> bool:
    """Stripe finds no transaction by the id of a dispute."""
    return bool(transaction["source"] == wanted and transaction["type"] != "adjustment")


balance_transactions = Resource(
    "balance_transaction",
    id_prefix="txn",
    filters={"source": _came_from, "payout": lambda _, __: False},  # nothing is paid out here
    refresh=release_funds,
)

_REPORTED_AS = {"payment": "charge", "payment_refund": "refund"}


def post(
    work: Work, *, type: str, amount: int, source: Body, fee: int = 0, at_once: bool = True
) -> Body:
    """Book a movement that `source` (a charge, a refund or a dispute) causes."""
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
        description=source.get("description"),
        fee=fee,
        fee_details=[details] if fee else [],
        net=amount - fee,
        reporting_category=_reporting_category(type, amount),
        source=source["id"],
        status="available" if at_once else "pending",
        type=type,
    )


@balance_transactions.on("get", "/v1/balance")
def balance(work: Work) -> Body:
    release_funds(work)
    sums = {"available": Counter[str](), "pending": Counter[str]()}
    for transaction in work.every("balance_transaction"):
        for counter in sums.values():
            counter[transaction["currency"]] += 0
        sums[transaction["status"]][transaction["currency"]] += transaction["net"]
    return {
        "object": "balance",
        "livemode": False,
        **{status: _amounts(counter) for status, counter in sums.items()},
    }


def _reporting_category(type: str, amount: int) -> str:
    if type == "adjustment":
        return "dispute" if amount < 0 else "dispute_reversal"
    return _REPORTED_AS.get(type, type)


def _amounts(counter: Counter[str]) -> list[Body]:
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(counter.items() or [("usd", 0)])
    ]
