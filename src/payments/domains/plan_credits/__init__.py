"""The credits of plans: each line of a paid invoice brings those of its product, once.

- A line counts if it bills a period and costs something before discounts: so a coupon for all of it
  grants, a trial does not, and neither does the proration of a change. An item that is billed once
  beside the plan grants too, without an end.
- What a line brings is frozen when its product can be read for the first time. Until then it waits:
  a product that is not mirrored is fetched, one whose metadata is malformed is told to the admins,
  and sized as soon as they have corrected it.
- A lot ends when the same item of the subscription has been paid for a later period, at the latest
  three days after its own: so there is no gap while a renewal is being paid.
- What was given back of the money takes its share: of each line, so that nothing of any is left
  with the last cent. An invoice that no payment has paid brought nothing that could be given back.
- So does what is credited for the unused time of its period, less what a better plan was charged
  for that: else whoever pauses and resumes, or changes to and fro, would get credits for nothing.
"""

from payments.domains.plan_credits.crediting import settle
from payments.domains.plan_credits.roots import roots

__all__ = ["roots", "settle"]
