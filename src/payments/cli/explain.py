"""`explain ID`: what happened to a payment, and why it is as it is."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.domains.timeline.schemas import Entry, Timeline


def explain(
    id: Annotated[
        str,
        typer.Argument(
            help="A booking's id or reference, a refund request's id, or pi_…, cs_…, re_…, dp_…, "
            "du_… or evt_… of Stripe's."
        ),
    ],
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="How many entries, at most; the newest.")
    ] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="As the API answers.")] = False,
) -> None:
    """Tell what happened to a payment, oldest first, and why it is in its state.

    Stripe is not asked. Times are UTC.
    """
    found = asyncio.run(_explain(load(), id, limit))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    elif sys.stdout.isatty():
        _show(found)
    else:
        for entry in found.data:
            typer.echo("  ".join(_columns(entry)))
        for line in _conclusion(found, limit):
            typer.echo(line)


async def _explain(settings: Settings, id: str, limit: int) -> "Timeline":
    from payments.cli.opening import reading
    from payments.core.audit import SYSTEM
    from payments.core.principal import Principal
    from payments.domains import assemble
    from payments.domains.timeline.telling import explain as tell

    who = Principal(user_id=SYSTEM, role="admin")
    async with reading(settings) as ctx:
        payables = assemble(settings.payables).payables
        return await tell(ctx, payables, id=id, who=who, limit=limit)


def _columns(entry: "Entry") -> tuple[str, str, str, str]:
    return f"{entry.at:%Y-%m-%d %H:%M:%S}", f"{entry.kind:7}", entry.id or "-", entry.text


def _conclusion(found: "Timeline", limit: int) -> list[str]:
    earlier = [f"(the newest {limit}; more with --limit)"] if found.has_more else []
    single = len(found.payments) == 1 and found.payments[0].explanation == found.explanation
    others = [] if single else [f"{one.id}  {one.explanation}" for one in found.payments]
    return [*earlier, "", found.explanation, *others]


def _show(found: "Timeline") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("at (UTC)", "what", "id", "", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    table.columns[2].overflow = "fold"
    for entry in found.data:
        at, kind, id, text = map(escape, _columns(entry))
        table.add_row(f"[dim]{at}[/]", f"[{COLOURS.get(entry.kind, 'white')}]{kind}[/]", id, text)
    console = Console(soft_wrap=False, highlight=False)
    console.print(table)
    for line in _conclusion(found, len(found.data)):
        console.print(line, markup=False)


COLOURS = {"call": "cyan", "event": "magenta", "effect": "green", "dispute": "red", "act": "yellow"}
