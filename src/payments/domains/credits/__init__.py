"""Credits: what users have bought, earned or been given, and spend.

An account has a *balance*, which is what is left in its lots, and a *debt*, which is what was
clawed back and not found there; one of the two is nothing, and neither is ever below it. At any
moment, for each account (the database keeps it so):

    Σ entries = Σ lots.remaining − debt = balance − debt

and for each cause (its `source`) Σ its entries = its target, what it is worth now.

- A cause grants once, however often it is heard of; its lot may end. A target is what is due of
  the basis that was frozen at the grant: granted − floor(granted × given back / received), so the
  last refund takes the rest.
- Spending takes from the lot that ends first, an entry a lot; a lot whose time is over counts for
  nothing from that moment, whether or not its expiry has been written yet.
- A claw-back takes from the cause's own lot, what ran out there unused before all else, then from
  the others in the order of use; the rest is a debt. Any credits that come later pay it first: the
  claw-back takes then what it had not found.
- What is worth more again (a dispute won, a refund that failed) gets back what it took: first what
  it still owes, then each lot its own, which may be over by now.
- Credits of a customer who is no user yet wait as a row, and are granted when he is one.
"""

from payments.domains.credits.api import router
from payments.domains.credits.given_back import GIVEN_BACK, HARMLESS
from payments.domains.credits.ledger import Grant, Note, expire, grant, set_target, spend
from payments.domains.credits.statement import balance
from payments.domains.credits.tables import CreditLot, root_of
from payments.domains.credits.waiting import CHORE, grant_to_customer

CHORES = (CHORE,)

__all__ = [
    "CHORES",
    "GIVEN_BACK",
    "HARMLESS",
    "CreditLot",
    "Grant",
    "Note",
    "balance",
    "expire",
    "grant",
    "grant_to_customer",
    "root_of",
    "router",
    "set_target",
    "spend",
]
