"""`explain ID`: what happened to a payment, and why it is as it is."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from payments.cli.words import printable
from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.domains.timeline.schemas import Timeline

COLOURS: Final = {
    "call": "cyan", "event": "magenta", "effect": "green", "act": "yellow", "message": "blue",
    "dispute": "red",
}  # fmt: skip


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
    else:
        _show(found)


async def _explain(settings: Settings, id: str, limit: int) -> "Timeline":
    from payments.cli.opening import reading
    from payments.core.audit import SYSTEM
    from payments.core.principal import Principal
    from payments.domains import assemble
    from payments.domains.timeline.telling import explain as tell

    who = Principal(user_id=SYSTEM, role="admin")
    payables = assemble(settings.payables).payables
    async with reading(settings) as ctx:
        return await tell(ctx, payables, id=id, who=who, limit=limit)


def _show(found: "Timeline") -> None:
    """In colours on a terminal, plain in a pipe, a line each in both."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    if found.has_more:
        console.print(f"(the newest {len(found.data)}; more with --limit)", style="dim")
    for entry in found.data:
        at, kind = f"{entry.at:%Y-%m-%d %H:%M:%S}", f"{entry.kind:7}"
        parts = ((at, "dim"), (kind, COLOURS.get(entry.kind, "")), (printable(entry.text), ""))
        ends = ((entry.id, "dim"),) if entry.id else ()
        console.print(Text("  ").join(Text(said, style) for said, style in (*parts, *ends)))
    console.print()
    console.print(printable(found.explanation), style="bold", markup=False)
    for payment in found.payments:
        if payment.explanation != found.explanation:
            console.print(f"{payment.id}  {printable(payment.explanation)}", markup=False)
