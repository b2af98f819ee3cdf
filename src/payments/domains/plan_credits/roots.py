"""Which accounts are recomputed because of invoices, their payments, and what is given back."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.domains.credits import root_of
from payments.domains.invoices import INVOICE, INVOICE_PAYMENT, id_of
from payments.domains.payments import root_of as payment_root
from payments.sync.resources import Observed

ACCOUNT: Final = root_of("")
STRANGER: Final = "credit_customer:"
"""Orders the credits of a customer who is no user."""

# Invoice, invoice payment, payment and refund are four observations that may be written at the same
# time. Any two of them share the lock of an invoice or of a payment, so whichever comes last finds
# all of it.
_CONCERNED: Final = text(
    f"""
    with named as (
        select unnest(cast(:invoices as text[])) as invoice
        union select invoice from stripe.invoice_payments where payment_intent = any(:intents)
    ), concerned as (
        select unnest(cast(:customers as text[])) as customer
        union select i.customer from named join stripe.invoices i on i.id = named.invoice
        union select customer from billed_lines where product = any(:products) and credits is null
    )
    select '{INVOICE.name}:' || invoice from named
    union all
    select distinct coalesce('{ACCOUNT}' || l.user_id, '{STRANGER}' || c.customer)
    from concerned c left join customer_links l on l.stripe_customer_id = c.customer
    where c.customer is not null
    """  # noqa: S608 - constants
)


async def roots(tx: AsyncConnection, observed: Observed) -> set[str]:
    """An invoice concerns its customer's account; so does what pays it, what is given back of that,
    and a product whose lines wait for it.
    """
    invoices, paid = observed.get(INVOICE.name, ()), observed.get(INVOICE_PAYMENT.name, ())
    intents = _named(_paying(payment) for payment in paid)
    given_back = (o for kind in ("refund", "dispute") for o in observed.get(kind, ()))
    bound = {
        "invoices": _named((*(i["id"] for i in invoices), *(p.get("invoice") for p in paid))),
        "customers": _named(invoice.get("customer") for invoice in invoices),
        "products": _named(product["id"] for product in observed.get("product", ())),
        "intents": _named(
            (
                *intents,
                *(intent["id"] for intent in observed.get("payment_intent", ())),
                *(returned.get("payment_intent") for returned in given_back),
            )
        ),
    }
    if not any(bound.values()):
        return set()
    found = set((await tx.execute(_CONCERNED, bound)).scalars())
    return found | {payment_root(intent) for intent in intents}


def _paying(payment: Any) -> Any:
    """A row of the mirror passes for an object, and names its payment itself."""
    return (payment.get("payment") or payment).get("payment_intent")


def _named(found: Iterable[Any]) -> list[str]:
    return sorted({id for named in found if (id := id_of(named)) is not None})
