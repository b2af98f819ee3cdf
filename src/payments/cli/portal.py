"""`portal plan` and `apply`: what customers may do in Stripe's portal, as the settings say."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.domains.portal.configuration import Intention

portal = typer.Typer(help="What customers may do in Stripe's portal.", no_args_is_help=True)


@portal.command()
def plan(
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 2 if `apply` would change something.")
    ] = False,
) -> None:
    """Show what `apply` would change at Stripe, and change nothing."""
    intention = asyncio.run(_plan(load()))
    _say(intention)
    raise typer.Exit(2 if check and intention.done != "unchanged" else 0)


@portal.command()
def apply(
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Let the portal offer the plans of the catalogue, cancelling, cards, invoices and details.

    A default configuration saved in Stripe's dashboard wins, and is never changed.
    """
    settings = load()
    if settings.live and not live:
        sys.exit("payments portal: this is a live key; say --live if you mean it")
    asyncio.run(_apply(settings))


async def _plan(settings: Settings) -> "Intention":
    from payments.cli.opening import reading
    from payments.domains.portal.configuration import plan_configuration
    from payments.sync.account import compare, identify

    async with reading(settings) as ctx:
        await compare(ctx.db, await identify(ctx.stripe), livemode=settings.live)
        return await plan_configuration(ctx)


async def _apply(settings: Settings) -> None:
    from payments.cli.opening import opened
    from payments.domains.portal.configuration import carry_out, plan_configuration

    async with opened(settings) as ctx:
        intention = await plan_configuration(ctx)
        id, done = await carry_out(ctx, intention)
    _say(intention)
    typer.echo(f"{done:9}  {id}")


def _say(intention: "Intention") -> None:
    if intention.wanted is None:
        typer.echo(f"{intention.id} was saved in Stripe's dashboard: it is used as it is.")
        return
    for difference in intention.differences:
        typer.echo(difference)
    if intention.why_no_plans:
        typer.echo(f"No plan can be switched to: {intention.why_no_plans}.")
    if intention.done == "unchanged":
        typer.echo("Nothing to change: the portal is as the settings and the catalogue say.")
    elif intention.id is None:
        typer.echo("There is no configuration yet.")
