"""Customer balance transactions: how a customer's credit came about and where it went."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.listing import matching, page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.customer_balance import move_balance
from stripe_sandbox.flows.money import known_currency

customer_balance_transactions = Resource(
    "customer_balance_transaction", id_prefix="cbtxn", param="transaction"
)

_PATH = "/v1/customers/{customer}/balance_transactions"


@customer_balance_transactions.on("post", _PATH, takes="amount currency description metadata")
def create(work: Work, params: Body, customer: str) -> Body:
    return move_balance(
        work,
        work.find("customer", customer),
        params["amount"],
        currency=known_currency(params["currency"]),
        type="adjustment",
        **given(params, "description metadata"),
    )


@customer_balance_transactions.on("get", _PATH, takes=None)
def of_customer(work: Work, params: Body, customer: str) -> Body:
    mine = work.every(
        "customer_balance_transaction", customer=work.find("customer", customer)["id"]
    )
    url = f"/v1/customers/{customer}/balance_transactions"
    resource = customer_balance_transactions
    return page(matching(mine, resource, params, url=url), resource.label, params, url=url)
