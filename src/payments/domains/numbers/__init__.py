"""Numbers for admins on one page: revenue, payments, subscriptions, plans, credits, disputes.

All of it is computed when it is asked for; nothing is summed up beforehand. What is true *now* (who
is active, what recurs, what is outstanding) takes no notice of the window; what *happened* is
counted from its start on and before its end.
"""

from payments.domains.numbers.api import router

__all__ = ["router"]
