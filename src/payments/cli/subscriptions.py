"""`cancel-subscription`, `change-plan`, `retry-payment`: what support does for a customer."""

import asyncio
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payments.cli import subscription_lines as lines
from payments.cli.words import printable
from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.context import Context
    from payments.domains.subscriptions.holders import Holder

Email = Annotated[str, typer.Argument(help="The customer's e-mail address.")]
One = Annotated[
    str | None, typer.Option("--subscription", metavar="SUB", help="Which one, of several: sub_…")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Wish:
    """Whose subscription is meant, and whether it was agreed beforehand."""

    email: str
    subscription: str | None
    yes: bool


def cancel_subscription(
    email: Email,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="At once, instead of when what is paid for has ended.")
    ] = False,
    subscription: One = None,
    yes: Yes = False,
) -> None:
    """Cancel a customer's subscription at the end of its period, or at once. It asks first."""
    asyncio.run(_cancel(load(), Wish(email, subscription, yes), now=now))


def change_plan(
    email: Email,
    *,
    plan: Annotated[str, typer.Option(help="Its key in the catalogue, or a price's or product's.")],
    quantity: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many; as it is otherwise.")
    ] = None,
    subscription: One = None,
    yes: Yes = False,
) -> None:
    """Change a customer's plan from now on. What that costs is shown first, and it asks.

    The difference is charged at once; where that fails, nothing is changed.
    """
    asyncio.run(_change_plan(load(), Wish(email, subscription, yes), plan, quantity))


def retry_payment(
    id: Annotated[
        str, typer.Argument(metavar="SUB", help="A subscription's id, or an invoice's of one.")
    ],
    *,
    yes: Yes = False,
) -> None:
    """Try once more to collect what is overdue, with the customer's present card. It asks first."""
    asyncio.run(_retry(load(), id, yes=yes))


async def _cancel(settings: Settings, wish: Wish, *, now: bool) -> None:
    from payments.cli.asking import ask, operator
    from payments.cli.opening import opened
    from payments.domains.subscriptions import changing
    from payments.domains.subscriptions.showing import one

    async with opened(settings) as ctx:
        holder, id = await _meant(ctx, wish)
        found = await changing.known(ctx, id, operator())
        current = await one(ctx, id)
        decide = partial(changing.cancel, now=now)
        at_once = decide(found).act == "cancel"
        if not at_once and found["cancel_at_period_end"]:
            typer.echo(f"{id} ends already: {lines.until(current)}. --now ends it at once.")
            return
        when = "at once" if at_once else f"when what is paid for has ended: {lines.until(current)}"
        intended = [
            f"Cancel {lines.described(holder, current)}",
            f"It ends {when}. Nothing that was paid is given back.",
        ]
        ask(settings, intended, yes=wish.yes)
        await changing.change(ctx, id, decide, who=operator(), key=None)
        await _say(ctx, id)


async def _change_plan(settings: Settings, wish: Wish, named: str, quantity: int | None) -> None:
    from payments.cli.asking import ask, operator
    from payments.cli.opening import opened
    from payments.core.errors import Conflict
    from payments.domains.subscriptions import changing, plan_change
    from payments.domains.subscriptions.showing import offered, one
    from payments.domains.subscriptions.tables import read

    async with opened(settings) as ctx:
        holder, id = await _meant(ctx, wish)
        found = await changing.known(ctx, id, operator())
        current = await one(ctx, id)
        plan = await plan_change.plan_for(ctx, found, settings.price_named(named))
        items, date = read(found)["items"], plan_change.dated(ctx, None)

        def decide(found: Any) -> changing.Change:
            if read(found)["items"] != items:
                raise Conflict(f"{id} was changed meanwhile, so it would cost something else")
            since = plan_change.dated(ctx, date)  # a question may stay unanswered for too long
            return plan_change.change_plan(found, plan, quantity=quantity, proration_date=since)

        shown = await plan_change.preview(ctx, decide(found))
        wanted = await offered(ctx, plan, shown.quantity)
        intended = [
            f"Change {lines.described(holder, current)}",
            f"to {lines.plans([wanted])}, from now on",
            lines.cost(shown),
        ]
        ask(settings, intended, yes=wish.yes)
        await changing.change(ctx, id, decide, who=operator(), key=None)
        await _say(ctx, id)


async def _retry(settings: Settings, id: str, *, yes: bool) -> None:
    from payments.cli.asking import ask, operator
    from payments.cli.opening import opened
    from payments.core.errors import CardDeclined
    from payments.domains.subscriptions import changing
    from payments.domains.subscriptions.overdue import overdue

    async with opened(settings) as ctx:
        found = await overdue(ctx, id, operator())
        ask(settings, lines.claim(found), yes=yes)
        try:
            await changing.change(ctx, found.subscription, found.pay, who=operator(), key=None)
        except CardDeclined as exc:
            page = found.invoice.get("hosted_invoice_url")
            way = f"\nThe customer can pay it with another card: {page}" if page else ""
            sys.exit(f"payments: {exc.detail}{way}")
        await _say(ctx, found.subscription)


async def _meant(ctx: "Context", wish: Wish) -> "tuple[Holder, str]":
    """The one subscription of an address; where there are several, it is never guessed which."""
    from payments.domains.subscriptions.holders import holders

    found = await holders(ctx, wish.email)
    named = printable(wish.email)
    if not found:
        sys.exit(
            f"payments: no customer here has the address {named}; who is new at Stripe comes with "
            "`payments events catch-up`"
        )
    each = [(holder, seen) for holder in found for seen in holder.subscriptions]
    listed = "".join(f"\n  {lines.described(holder, seen)}" for holder, seen in each)
    if not each:
        sys.exit(f"payments: {named} has no subscription that has not ended")
    if wish.subscription is not None:
        for holder, seen in each:
            if seen.id == wish.subscription:
                return holder, seen.id
        sys.exit(f"payments: {printable(wish.subscription)} is none of {named}:{listed}")
    if len(each) > 1 or len(found) > 1:
        several = f"customers of {named}: {len(found)}, subscriptions: {len(each)}"
        sys.exit(f"payments: say which with --subscription SUB ({several}):{listed}")
    [(holder, seen)] = each
    return holder, seen.id


async def _say(ctx: "Context", id: str) -> None:
    from payments.domains.subscriptions.showing import one

    typer.echo(lines.outcome(await one(ctx, id)))
