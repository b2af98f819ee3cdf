"""`reconcile`: what is stored here, compared with Stripe row by row."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from rich.table import Table

    from payments.context import Context
    from payments.sync.reconcile.runs import Round

REFRESH_SECONDS: Final = 0.1
BY: Final = "command line"
WIDEST: Final = 500
"""Ids are copied from the table, so they stay whole, however long."""


def reconcile(
    *,
    since: Annotated[
        datetime | None,
        typer.Option(help="Objects made since then (UTC); RECONCILE_DAYS ago if left out."),
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="refund, checkout.session, balance …; all if left out.")
    ] = None,
    heal: Annotated[
        bool, typer.Option("--heal", help="Write what Stripe says over what differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Compare what is stored here with Stripe, row by row, and payments with Stripe's balance.

    Ends with 1 if a row still differs.
    """
    run = asyncio.run(_reconcile(load(), since=since, resources=resource or [], heal=heal))
    _say(run, as_json=as_json)
    raise typer.Exit(1 if run["left"] else 0)


async def _reconcile(
    settings: Settings, *, since: datetime | None, resources: list[str], heal: bool
) -> dict[str, Any]:
    """Carry out a run; return it with its rows, in the words of the API."""
    from payments.cli.opening import opened
    from payments.sync.reconcile.run import ensure_sound
    from payments.sync.reconcile.runs import Wish, begin, request
    from payments.sync.throttle import Throttle

    async with opened(settings) as ctx:
        start = since.replace(tzinfo=UTC) if since else ctx.clock.now() - _window(settings)
        wish = Wish(since=start, resources=resources, heal=heal)
        ensure_sound(ctx.sync, wish)
        async with ctx.db.transaction() as tx:
            id = await request(tx, wish, by=BY, for_worker=False)
        round = await begin(ctx.sync, Throttle(settings.stripe_rate), id)
        assert round is not None
        await _watched(round)
        return await _report(ctx, id)


def _window(settings: Settings) -> timedelta:
    return timedelta(days=settings.reconcile_days)


async def _watched(round: "Round") -> None:
    """Carry a run out behind a bar for each resource; what is here already says how long it is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from payments.sync.reconcile.run import carry_out, expected

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        totals = await expected(round)
        bars = {name: progress.add_task(name, total=total) for name, total in totals.items()}
        running = asyncio.create_task(carry_out(round))
        while not running.done():
            await asyncio.wait({running}, timeout=REFRESH_SECONDS)
            for name, looked in round.looked.items():
                total = max(looked, totals[name] or 0)
                progress.update(bars[name], completed=looked, total=total)
        running.result()


async def _report(ctx: "Context", id: str) -> dict[str, Any]:
    from sqlalchemy import select

    from payments.domains.reconciliations import DriftOut, ReconciliationOut
    from payments.sync.reconcile.tables import Drift, listed

    runs, drift = listed(), Drift.__table__
    rows = select(drift).where(Drift.reconciliation == id).order_by(Drift.created_at, Drift.id)
    async with ctx.db.transaction() as tx:
        run = (await tx.execute(select(runs).where(runs.c.id == id))).one()
        found = (await tx.execute(rows)).all()
    shown = ReconciliationOut.model_validate(run).model_dump(mode="json")
    return shown | {"rows": [DriftOut.model_validate(row).model_dump(mode="json") for row in found]}


def _say(run: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        typer.echo(json.dumps(run))
        return
    if run["rows"]:
        Console(soft_wrap=True, width=WIDEST).print(_table(run["rows"]))
    looked = ", ".join(f"{name} {count}" for name, count in run["looked"].items())
    typer.echo(f"compared: {looked or 'nothing'}")
    typer.echo(f"differed: {run['drift']}, left: {run['left']} ({run['id']})")


def _table(rows: Sequence[dict[str, Any]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("resource", "object", "column", "here", "at Stripe", "")
    for row in rows:
        ours, stripes = row["ours"] or {}, row["stripes"] or {}
        end = "healed" if row["healed"] else row["remark"] or row["kind"].replace("_", " ")
        for number, name in enumerate(stripes or ours):
            head = (row["resource"], row["object_id"]) if number == 0 else ("", "")
            sides = (_said(side, name) for side in (ours, stripes))
            table.add_row(*map(escape, (*head, name, *sides, "" if number else end)))
    return table


def _said(side: dict[str, Any], name: str) -> str:
    return repr(side[name]) if name in side else ""
