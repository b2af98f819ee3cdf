"""Linking a user to a customer that exists at Stripe; never by e-mail alone."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import StringConstraints
from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments.context import Context
from payments.core import audit
from payments.core.errors import Conflict, Invalid
from payments.core.principal import Principal
from payments.domains.customers.ensuring import reserve
from payments.domains.customers.tables import CUSTOMER, CustomerLink, change
from payments.sync import observe
from payments.sync.apply import Observation, apply, locked

CustomerId = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z0-9][\w@.+:-]*$")]
Done = Literal["linked", "re-linked", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Says which customer at Stripe a user is.

    Attributes:
        email: the customer's there, to make sure that no line has slipped; it never finds anybody.
        take_over: another user's link to this customer was a mistake, and is removed.
    """

    user_id: str
    customer: str
    email: str | None = None
    take_over: bool = False


async def link(
    ctx: Context,
    claim: Claim,
    *,
    who: Principal | None,
    relink: bool = True,
    dry_run: bool = False,
) -> Done:
    """Link a user to a customer. His old link stays, for the payments that were made under it.

    Args:
        ctx: what to work with.
        claim: who is whom.
        who: the caller, for the audit log; None for a command.
        relink: whether a user may leave the customer that he is now.
        dry_run: whether to find out only, and change nothing.

    Raises:
        Invalid: Stripe has no such customer, or has deleted it.
        Conflict: it is another user's, the e-mail is another one, or the user is linked already.
    """
    seen = await _look(ctx, claim)
    if not dry_run:
        await apply(ctx.sync, [seen])
    async with ctx.db.transaction() as tx:
        await locked(tx, [f"customer:{claim.customer}"])
        await _free(tx, claim, who)
        row = await _reserve(tx, ctx, claim, relink=relink)
        done = _done(row.stripe_customer_id, claim)
        if done != "unchanged":
            await _write(tx, ctx, row, customer=claim.customer, email=seen.object.get("email"))
            facts = {"user_id": claim.user_id, "previous": row.stripe_customer_id}
            await audit.record(tx, who, act="customer.linked", subject=claim.customer, **facts)
        if dry_run:
            await tx.rollback()
    return done


async def _reserve(tx: AsyncConnection, ctx: Context, claim: Claim, *, relink: bool) -> Row[Any]:
    """The user's link, which may become this one."""
    row = await reserve(tx, user_id=claim.user_id, email=None, now=ctx.clock.now())
    if not relink and _done(row.stripe_customer_id, claim) == "re-linked":
        raise Conflict(
            f"user {claim.user_id!r} is customer {row.stripe_customer_id} already; to change that, "
            f"PUT /customers/{claim.user_id}"
        )
    return row


async def _look(ctx: Context, claim: Claim) -> Observation:
    seen = await observe.look(ctx.sync, CUSTOMER, claim.customer)
    if seen.gone:
        mode = "live mode" if ctx.settings.live else "test mode"
        raise Invalid(
            f"Stripe has no customer {claim.customer!r} in this account's {mode}, or it was "
            "deleted; send the id of one that is there"
        )
    email = seen.object.get("email")
    if claim.email and email and claim.email.casefold() != email.casefold():
        raise Conflict(
            f"customer {claim.customer} has another e-mail address at Stripe; correct the id, or "
            "leave the address out"
        )
    return seen


async def _free(tx: AsyncConnection, claim: Claim, who: Principal | None) -> None:
    """Whoever is or was linked to a customer sees its payments; that is one user at most."""
    theirs = (
        CustomerLink.stripe_customer_id == claim.customer,
        CustomerLink.user_id != claim.user_id,
    )
    other = (await tx.execute(select(CustomerLink.user_id).where(*theirs))).scalars().first()
    if other is None:
        return
    if not claim.take_over:
        raise Conflict(
            f"customer {claim.customer} belongs to user {other!r}; if that was a mistake, an admin "
            "may take it over"
        )
    await tx.execute(delete(CustomerLink).where(*theirs))
    await audit.record(tx, who, act="customer.unlinked", subject=claim.customer, user_id=other)


def _done(previous: str | None, claim: Claim) -> Done:
    if previous == claim.customer:
        return "unchanged"
    return "linked" if previous is None else "re-linked"


async def _write(
    tx: AsyncConnection, ctx: Context, row: Row[Any], *, customer: str, email: str | None
) -> None:
    now = ctx.clock.now()
    values = {"stripe_customer_id": customer, "email": email, "reserved_at": now, "key": uuid4()}
    if row.stripe_customer_id is None:
        # The new key tells a creation that is under way that its customer is not wanted any more.
        await change(tx, row.key, **values)
        return
    await change(tx, row.key, replaced_at=now)
    await tx.execute(insert(CustomerLink).values(user_id=row.user_id, **values))
