"""`payments setup`: an account and a database made ready in one go."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from payments.settings import Settings, Unregistered, load

NEXT: Final = """
Next: payments serve, and payments worker beside it. Then
  payments doctor            looks at all of it
  payments test-webhooks     tries the way from the webhook route to the worker
  payments test-integration  pays, refunds and subscribes once, in test mode"""


def setup(
    url: Annotated[
        str | None,
        typer.Option(help="Where Stripe shall post events: https://…/api/v1/stripe/webhook."),
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="TOML; the one shipped otherwise.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Migrate, apply the catalogue, configure the customer portal, register the webhook endpoint.

    Run it as often as you like: what is there already stays as it is. The secret of a new endpoint
    is printed this one time.
    """
    from payments.cli.serving import bring_up

    settings = load(Unregistered)
    if settings.live and not live:
        sys.exit("payments setup: this is a live key; say --live if you mean it")
    bring_up(settings)
    asyncio.run(_set_up(settings, url, catalog))


async def _set_up(settings: Settings, url: str | None, catalog: Path | None) -> None:
    from payments.cli.opening import opened
    from payments.cli.webhooks import say
    from payments.domains.catalog.sync_file import SHIPPED, read
    from payments.onboarding import setup

    entries = read(catalog or SHIPPED, currency=settings.default_currency)
    async with opened(settings) as ctx:
        async for step in setup.at_stripe(ctx, entries):
            typer.echo(f"{step.done:9}  {step.name:17} {step.detail}")
        if url is not None:
            say(*await setup.endpoint(ctx, url), settings)
        else:
            typer.echo("skipped    Webhook endpoint  name --url to register one")
        typer.echo("\nThe prices, for who names them by id; set here, one wins over the catalogue:")
        for line in await setup.price_variables(ctx, entries):
            typer.echo(line)
        typer.echo(NEXT)
