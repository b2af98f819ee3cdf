"""`events list|replay|catch-up`: what Stripe sent, applying it anew, and asking for the rest."""

import asyncio
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payments.cli.words import printable
from payments.settings import Settings, load

if TYPE_CHECKING:
    from rich.table import Table

    from payments.sync.rehearse import Difference
    from payments.sync.replay import Replayed
    from payments.sync.selection import Selection

events = typer.Typer(help="What Stripe sent.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Option("--id", help="An event's id.")]
Objects = Annotated[list[str] | None, typer.Option("--object", help="What it is about: pi_…")]
Types = Annotated[list[str] | None, typer.Option("--type", help="refund.updated, or refund.*")]
States = Annotated[
    list[str] | None, typer.Option("--state", help="pending, postponed, applied, ignored or dead")
]
Error = Annotated[str | None, typer.Option("--error", help="A part of the error's text.")]
Since = Annotated[datetime | None, typer.Option(help="Received at this time (UTC) or later.")]
Until = Annotated[datetime | None, typer.Option(help="Received before this time (UTC).")]


@events.command("list")
def list_events(
    *,
    id: Ids = None,
    object: Objects = None,
    type: Types = None,
    state: States = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 20,
) -> None:
    """Show the inbox, newest first; all of it where nothing is said."""
    chosen = selection(
        id=id, object_id=object, type=type, state=state, error=error, since=since, until=until
    )
    asyncio.run(_list(load(), chosen, limit))


@events.command()
def replay(
    *,
    id: Ids = None,
    object: Objects = None,
    type: Types = None,
    state: States = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would differ; change nothing.")
    ] = False,
) -> None:
    """Have a worker apply events anew, after a fault was mended for instance.

    An event is meant if it matches every option; an option given twice means either value.
    --type '*' means all.
    """
    chosen = selection(
        id=id, object_id=object, type=type, state=state, error=error, since=since, until=until
    )
    failed = asyncio.run(_replay(load(), chosen, dry_run=dry_run))
    raise typer.Exit(1 if failed else 0)


@events.command("catch-up")
def catch_up(
    *,
    since: Annotated[
        datetime | None, typer.Option(help="Begin at this time (UTC), though all was read since.")
    ] = None,
) -> None:
    """Ask Stripe for the events that it did not deliver, and have a worker apply them.

    Workers do this every few minutes. Stripe lists the events of 30 days.
    """
    asyncio.run(_catch_up(load(), since.replace(tzinfo=UTC) if since else None))


def selection(**given: Any) -> "Selection":
    from pydantic import ValidationError

    from payments.sync.selection import Selection

    zoned = {k: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for k, v in given.items()}
    try:
        return Selection(**{name: value for name, value in zoned.items() if value})
    except ValidationError as exc:
        wrong = exc.errors()[0]
        sys.exit(f"payments events: {wrong['loc'][0]} {wrong['input']!r}: {wrong['msg']}")


async def _list(settings: Settings, selection: "Selection", limit: int) -> None:
    from sqlalchemy import select

    from payments.cli.opening import reading
    from payments.core.paging import page
    from payments.sync.selection import listed

    found = listed(selection)
    query = select(found)
    async with reading(settings) as ctx, ctx.db.transaction() as tx:
        rows, _ = await page(tx, query, found, limit=limit, starting_after=None, visible=query)
    for row in rows:
        typer.echo(line(row))


def line(row: Any) -> str:
    """An event on a line: what became of it, when it came, and what it is about."""
    at = f"{row.received_at:%Y-%m-%d %H:%M:%S}"
    tried = f"  {row.attempts} attempts" if row.attempts else ""
    about = row.object_id or "-"
    said = f"{row.state:9}  {at}  {row.id}  {row.type}  {about}{tried}  {row.error or ''}"
    return printable(said).rstrip()


async def _replay(settings: Settings, selection: "Selection", *, dry_run: bool) -> bool:
    """Replay page by page; return whether a dry run found what cannot be applied."""
    from rich.console import Console
    from rich.progress import Progress

    from payments.cli.opening import opened
    from payments.sync.replay import Replay, count, replay_all
    from payments.sync.throttle import Throttle

    pages: list[Replayed] = []
    throttle = Throttle(settings.stripe_rate)
    wish = Replay(who=None, selection=selection, dry_run=dry_run, throttle=throttle)
    async with opened(settings) as ctx:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("Replaying", total=await count(ctx.sync, selection))
            async for page in replay_all(ctx.sync, wish):
                pages.append(page)
                progress.advance(task, len(page.events) + len(page.ignored))
    found = [page.rehearsal for page in pages if page.rehearsal is not None]
    differences = [difference for one in found for difference in one.differences]
    if differences:
        Console(soft_wrap=True).print(table_of(differences))
    failures = [failure for one in found for failure in one.failures]
    for failure in failures:
        typer.echo(f"cannot be applied  {failure.object_id}  {failure.error}")
    for id in (id for one in found for id in one.untried):
        typer.echo(f"cannot be tried    {id}  it writes to Stripe")
    typer.echo(_summary(pages, len({(d.table, d.id) for d in differences}), dry_run=dry_run))
    return bool(failures)


async def _catch_up(settings: Settings, since: datetime | None) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from payments.cli.opening import opened
    from payments.sync.catchup import KEPT, catch_up
    from payments.sync.throttle import Throttle

    listed = new = 0
    async with opened(settings) as ctx:
        if since is not None and since < ctx.clock.now() - KEPT:
            sys.exit(
                f"payments events: Stripe lists events of the last {KEPT.days} days; "
                "`payments rebuild` asks for the objects themselves"
            )
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("Reading", total=None)
            async for page in catch_up(ctx.sync, Throttle(settings.stripe_rate), since=since):
                listed, new = listed + page.listed, new + page.new
                progress.update(task, description=f"Reading: {listed} events, {new} new")
    typer.echo(f"{listed} events were listed, {new} of them are new and due")


def table_of(differences: "Iterable[Difference]") -> "Table":
    """Rows as they are and as they would be, for people."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("table", "row", "column", "is", "would be")
    for found in differences:
        for number, (name, value) in enumerate(found.after.items()):
            was = "" if found.before is None else repr(found.before[name])
            head = (found.table, found.id) if number == 0 else ("", "")
            table.add_row(*map(escape, (*head, name, was, repr(value))))
    return table


def _summary(pages: "Iterable[Replayed]", differing: int, *, dry_run: bool) -> str:
    due: list[str] = []
    ignored = 0
    for page in pages:
        due.extend(page.events)
        ignored += len(page.ignored)
    unfollowed = f", {ignored} that nobody follows" if ignored else ""
    if dry_run:
        said = f"{len(due)} events would change {differing} rows{unfollowed}"
        return f"{said} (nothing was changed)"
    return f"{len(due)} events are due again{unfollowed}"
