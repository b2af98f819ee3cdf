"""`test-integration`: one payment, refund and subscription at the configured Stripe."""

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from payments.cli.asking import ask
from payments.cli.words import printable
from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.onboarding.round_trip import Step


def try_integration(
    wait: Annotated[
        int, typer.Option(min=0, max=600, help="Seconds to wait for Stripe's event.")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Pay, refund and subscribe once at Stripe, in test mode alone, and see the event arrive here.

    What it makes is removed again. `payments doctor` only looks, and `payments test-webhooks` tries
    the way to here without Stripe. Exits with 1 if something has failed.
    """
    settings = load()
    if settings.live:
        sys.exit("payments test-integration: this is a live key; it needs one of test mode")
    intended = [
        "Make a customer, a product, a payment, its refund and a subscription in test mode,",
        "and remove them again.",
    ]
    ask(settings, intended, yes=yes)
    raise typer.Exit(0 if asyncio.run(_go(settings, timedelta(seconds=wait))) else 1)


async def _go(settings: Settings, patience: timedelta) -> bool:
    from payments.cli.asking import operator
    from payments.cli.opening import opened
    from payments.core import audit
    from payments.onboarding.round_trip import Trip, clean_up, go

    well = True
    async with opened(settings) as ctx:
        trip = Trip(ctx, patience)
        async with ctx.db.transaction() as tx:
            await audit.record(tx, operator(), act="integration.tested", subject=trip.mark)
        try:
            async for step in go(trip):
                well = _say(step) and well
        finally:  # an interrupt leaves nothing behind either
            well = _say(await clean_up(trip)) and well
    return well


def _say(step: "Step") -> bool:
    """Tell how a step went; return whether it went well."""
    from payments.cli.doctor import MARKS

    mark = MARKS["ok" if step.fix is None else "failed"]
    typer.echo(f"{mark} {step.name:<17} {printable(step.said)}")
    if step.fix is not None:
        typer.echo(f"{'→':>21} {step.fix}")
    return step.fix is None
