"""What is overdue: an invoice, named by itself or by the subscription that it bills."""

from dataclasses import dataclass
from typing import Final

from payments.context import Context
from payments.core.errors import Conflict, NotFound, StripeRejected
from payments.core.principal import Principal
from payments.domains.invoices import read_invoice
from payments.domains.subscriptions import changing
from payments.domains.subscriptions.changing import Change
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync.resources import StripeObject

PAYABLE: Final = ("open", "uncollectible")


@dataclass(frozen=True, slots=True)
class Overdue:
    """An invoice as Stripe has it now, and the subscription that it bills."""

    subscription: str
    invoice: StripeObject

    def pay(self, _: StripeObject) -> Change:
        """Try once more to collect this invoice, even if another one has followed it."""
        return Change("pay", str(self.invoice["id"]), {})


async def overdue(ctx: Context, id: str, who: Principal) -> Overdue:
    """What is to be paid for a subscription, or by an invoice of one.

    Raises:
        NotFound: there is nothing of this id, or this principal may not see it.
        Conflict: there is nothing to be paid, or the invoice is not a subscription's.
    """
    if not id.startswith("in_"):
        wanted = changing.pay(await changing.known(ctx, id, who))
        return Overdue(id, _payable(await _invoice(ctx, wanted.object)))
    invoice = await _invoice(ctx, id)
    subscription = read_invoice(invoice)["subscription"]
    if subscription is None:
        raise Conflict(f"invoice {id} is not a subscription's: its customer pays it on its page")
    await changing.known(ctx, subscription, who)
    return Overdue(subscription, _payable(invoice))


async def _invoice(ctx: Context, id: str) -> StripeObject:
    try:
        return (await ctx.stripe.call(lambda c: c.v1.invoices.retrieve_async(id))).object
    except (StripeObjectMissing, StripeRejected) as exc:
        raise NotFound(f"there is no invoice {id!r}") from exc


def _payable(invoice: StripeObject) -> StripeObject:
    if invoice["status"] not in PAYABLE:
        raise Conflict(f"invoice {invoice['id']} is {invoice['status']}: nothing is to be paid")
    return invoice
