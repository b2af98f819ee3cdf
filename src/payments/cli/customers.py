"""`customers link`: users of yours who are customers at Stripe already."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from payments.settings import Settings, load

customers = typer.Typer(help="Who your users are at Stripe.", no_args_is_help=True)


@customers.callback()
def root() -> None:
    """Keep `link` a subcommand though it is the only one."""


@customers.command()
def link(
    file: Annotated[
        Path, typer.Argument(help="CSV; the first line is user_id,stripe_customer_id[,email].")
    ],
    take_over: Annotated[
        bool, typer.Option("--take-over", help="End earlier links that contradict the file.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and change nothing.")] = False,
) -> None:
    """Link users to the customers that they are at Stripe; run it as often as you like.

    Each line is looked up at Stripe. One that is refused is named and changes nothing.
    """
    from payments.domains.customers.link_file import LinkFileInvalid

    try:
        refused = asyncio.run(_link(load(), file, take_over=take_over, dry_run=dry_run))
    except LinkFileInvalid as exc:
        sys.exit(f"payments customers: {exc}")
    raise typer.Exit(1 if refused else 0)


async def _link(settings: Settings, file: Path, *, take_over: bool, dry_run: bool) -> int:
    from collections import Counter

    from rich.console import Console
    from rich.progress import Progress

    from payments.cli.opening import opened
    from payments.domains.customers.link_file import link_all, read

    lines = read(file)
    counts = Counter[str]()
    title = "Looking up customers" if dry_run else "Linking customers"
    async with opened(settings) as ctx:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(title, total=len(lines))
            async for one in link_all(ctx, lines, take_over=take_over, dry_run=dry_run):
                counts[one.done] += 1
                progress.advance(task)
                if one.refused:
                    said = f"line {one.line.number}: {one.refused}"
                    progress.console.print(said, markup=False, soft_wrap=True)
    summary = ", ".join(f"{count} {done}" for done, count in sorted(counts.items()))
    typer.echo(f"{summary or 'nothing to link'}{' (nothing was changed)' if dry_run else ''}")
    return counts["refused"]
