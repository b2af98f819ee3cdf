"""`logs`: what came from Stripe lately, and what became of it."""

import asyncio
import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from payments.cli.events import line, selection
from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.sync.selection import State

DAY: Final = "24h"
LAST: Final = re.compile(r"([1-9]\d{0,3})([mhdw])")
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FAILED: "Final[list[State]]" = ["postponed", "dead"]


def logs(
    *,
    last: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d, 2w.")] = DAY,
    last_24h: Annotated[
        bool, typer.Option("--last-24h", help="The same as --last 24h, which is what it is anyway.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what could not be applied yet, or at all.")
    ] = False,
    type: Annotated[
        list[str] | None, typer.Option("--type", help="invoice.paid, or invoice.*; or several.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many on a page.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="EVENT", help="The event that the last page ended with.")
    ] = None,
) -> None:
    """Show what Stripe sent and what became of it, newest first, a page at a time.

    Stripe is not asked. Times are UTC. `payments events` has more to choose by, and replays.
    """
    if last_24h and last != DAY:
        sys.exit("payments logs: --last-24h contradicts --last; say one of them")
    back = _duration(last)
    asyncio.run(_logs(load(), back, FAILED if failed else [], type or [], (limit, after)))


def _duration(said: str) -> timedelta:
    if (found := LAST.fullmatch(said)) is None:
        sys.exit(f"payments logs: --last {said!r} is no duration; say 30m, 24h, 7d or 2w")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


async def _logs(
    settings: Settings,
    back: timedelta,
    states: "list[State]",
    types: list[str],
    place: tuple[int, str | None],
) -> None:
    from sqlalchemy import func, select

    from payments.cli.opening import reading
    from payments.core.paging import page
    from payments.sync.selection import listed

    limit, after = place
    async with reading(settings) as ctx, ctx.db.transaction() as tx:
        since = ctx.clock.now() - back
        found = listed(selection(since=since, state=states, type=types))
        query = select(found)
        rows, more = await page(tx, query, found, limit=limit, starting_after=after, visible=query)
        counted = select(found.c.state, func.count()).group_by(found.c.state)
        counts = {str(state): int(number) for state, number in await tx.execute(counted)}
    for row in rows:
        typer.echo(line(row))
    typer.echo(_sum(counts, since=f"{since:%Y-%m-%d %H:%M:%S}"))
    if more:
        typer.echo(f"Older ones: the same command with --after {rows[-1].id}")


def _sum(counts: Mapping[str, int], *, since: str) -> str:
    total = sum(counts.values())
    each = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return f"{total} events since {since} UTC{f': {each}' if each else ''}."
