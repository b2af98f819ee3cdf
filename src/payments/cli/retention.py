"""`retention`: remove now what a worker removes every night, or count it."""

import asyncio
from typing import Annotated

import typer

from payments.settings import Settings, load


def retention(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what is old; change nothing.")
    ] = False,
) -> None:
    """Blot out or remove what has served its time, as a worker does every night."""
    counts = asyncio.run(_retain(load(), dry_run=dry_run))
    for what, rows in counts.items():
        typer.echo(f"{rows:>9}  {what}")
    if dry_run:
        typer.echo("nothing was changed")


async def _retain(settings: Settings, *, dry_run: bool) -> dict[str, int]:
    from payments.cli.opening import reading
    from payments.sync import retention

    async with reading(settings) as ctx:
        return await (retention.count(ctx) if dry_run else retention.retain(ctx))
