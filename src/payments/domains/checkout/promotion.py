"""Promotion codes, which Stripe keeps: by what customers call them."""

from payments.context import Context
from payments.core.errors import Invalid


async def find(ctx: Context, code: str) -> str:
    """Stripe's id of a code. Whether this customer may use it, Stripe says when the page is opened.

    Raises:
        Invalid: there is no such code, or it is over.
        Problem: Stripe's errors.
    """
    found = await ctx.stripe.call(
        lambda c: c.v1.promotion_codes.list_async({"code": code, "active": True, "limit": 1})
    )
    for promotion_code in found.object["data"]:
        return str(promotion_code["id"])
    raise Invalid(f"promotion_code: there is no code {code!r}, or it is over; leave it out")
