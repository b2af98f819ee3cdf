"""The balance and its transactions: what was earned, what it cost, what went back."""

from collections import Counter

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.registry import Resource
from stripe_sandbox.work import Work

_PENDING_FOR = 2 * 24 * 3600


def release_funds(work: Work) -> None:
    """Pending funds become available when their time has come; nobody is told."""
    for transaction in work.every("balance_transaction"):
        if transaction["status"] == "pending" and transaction["available_on"] <= work.now:
            work.change(transaction, status="available")


balance_transactions = Resource("balance_transaction", id_prefix="txn", refresh=release_funds)


def post(
    work: Work, *, type: str, amount: int, source: Body, fee: int = 0, at_once: bool = True
) -> Body:
    """Book a movement that `source` (a charge or a refund) causes."""
    currency = source["currency"]
    details = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
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
        reporting_category=type,
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


def _amounts(counter: Counter[str]) -> list[Body]:
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(counter.items() or [("usd", 0)])
    ]
