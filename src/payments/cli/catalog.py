"""`catalog apply`: makes Stripe agree with a TOML file."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from payments.settings import Settings, load

catalog = typer.Typer(help="What is sold, as a file.", no_args_is_help=True)


@catalog.callback()
def root() -> None:
    """Keep `apply` a subcommand though it is the only one."""


@catalog.command()
def apply(
    file: Annotated[Path | None, typer.Argument(help="TOML; the one shipped otherwise.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Create and update products and prices at Stripe; run it as often as you like."""
    settings = load()
    if settings.live and not live:
        sys.exit("payments catalog: this is a live key; say --live if you mean it")
    from payments.domains.catalog.sync_file import CatalogFileInvalid

    try:
        asyncio.run(_apply(settings, file))
    except CatalogFileInvalid as exc:
        sys.exit(f"payments catalog: {exc}")


async def _apply(settings: Settings, file: Path | None) -> None:
    from payments.cli.opening import opened
    from payments.core.money import display
    from payments.domains.catalog.sync_file import SHIPPED, push, read

    entries = read(file or SHIPPED, currency=settings.default_currency)
    async with opened(settings) as ctx:
        async for entry, done in push(ctx, entries):
            price = display(entry.unit_amount, str(entry.currency))
            typer.echo(f"{done:9}  {entry.key:20} {price:>12}  {entry.name}")
