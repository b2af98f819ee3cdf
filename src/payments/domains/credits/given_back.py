"""What of a payment's money was given back, as credits see it."""

from typing import Final

HARMLESS: Final = (
    "won", "warning_needs_response", "warning_under_review", "warning_closed", "prevented",
)  # fmt: skip
"""States of a dispute that withdraws nothing: an inquiry, or one that was won."""

GIVEN_BACK: Final = """
    (coalesce((select sum(r.amount) from stripe.refunds r
               where r.payment_intent = i.id and r.status = 'succeeded'), 0)
     + coalesce((select sum(d.amount) from stripe.disputes d
                 where d.payment_intent = i.id and d.status <> all(:harmless)), 0))
"""
"""SQL on a payment intent `i`, with HARMLESS bound; refunds and disputes together may be more than
was received.
"""
