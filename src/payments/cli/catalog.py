"""`catalog plan`, `apply` and `pull`: a TOML file, Stripe's products and prices, their mirrors."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.context import Context
    from payments.domains.catalog.planning import Change, Survey
    from payments.sync.apply import Observation

catalog = typer.Typer(help="What is sold, as a file.", no_args_is_help=True)

File = Annotated[Path | None, typer.Argument(help="TOML; the one shipped otherwise.")]
TO_DO: Final = {"created": "create", "updated": "update", "unchanged": "unchanged"}


@catalog.command()
def plan(
    file: File = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 2 if `apply` would change something.")
    ] = False,
) -> None:
    """Show what `apply` would change at Stripe, and change nothing."""
    agrees = _run(load(), file, _plan)
    raise typer.Exit(2 if check and not agrees else 0)


@catalog.command()
def apply(
    file: File = None,
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Make Stripe's products and prices agree with the file; run it as often as you like.

    A price that costs something else is a new price, which takes the lookup key; the old one is
    archived. What an earlier file has made and this one does not name is archived. Nothing is
    deleted, and subscriptions stay at the price that they were sold at.
    """
    settings = load()
    if settings.live and not live:
        sys.exit("payments catalog: this is a live key; say --live if you mean it")
    _run(settings, file, _apply)


@catalog.command()
def pull(
    yes_tombstone: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Agree that N rows of a kind are gone at Stripe."),
    ] = 0,
) -> None:
    """Write the mirrors of products and prices anew from all that Stripe lists.

    Events keep them in step, and workers compare them every night; this is for at once. What cannot
    be written is named, and makes the command exit with 1.
    """
    raise typer.Exit(0 if asyncio.run(_pull(load(), yes_tombstone)) else 1)


def products_create(
    file: File = None,
    live: Annotated[bool, typer.Option("--live", help="Allow a live key.")] = False,
) -> None:
    """Create products and prices at Stripe: another name of `payments catalog apply`."""
    apply(file, live)


def _run(
    settings: Settings, file: Path | None, act: Callable[[Settings, Path], Awaitable[bool]]
) -> bool:
    from payments.domains.catalog.file import SHIPPED, CatalogFileInvalid

    async def run() -> bool:
        return await act(settings, file or SHIPPED)

    try:
        return asyncio.run(run())
    except CatalogFileInvalid as exc:
        sys.exit(f"payments catalog: {exc}")


async def _plan(settings: Settings, file: Path) -> bool:
    from payments.cli.opening import reading
    from payments.domains.catalog.file import read
    from payments.domains.catalog.planning import survey
    from payments.sync.account import compare, identify

    entries = read(file, currency=settings.default_currency)
    async with reading(settings) as ctx:
        await compare(ctx.db, await identify(ctx.stripe), livemode=settings.live)
        found = await survey(ctx, entries)
    for change in found.changes:
        _say(change, TO_DO[change.done])
    for seen in (*found.strays, *found.leftovers):
        _say_archived(seen, "archive")
    _say_odd(found, settings.stripe_price)
    said = Counter(TO_DO[change.done] for change in found.changes)
    _say_sum({"to create": said["create"], "to update": said["update"]}, "to archive", found)
    return found.agrees


async def _apply(settings: Settings, file: Path) -> bool:
    from payments.cli.opening import opened
    from payments.domains.catalog.file import read
    from payments.domains.catalog.planning import survey

    entries = read(file, currency=settings.default_currency)
    async with opened(settings) as ctx:
        found = await survey(ctx, entries)
        await _carry_out(ctx, found)
    _say_odd(found, settings.stripe_price)
    done = Counter(change.done for change in found.changes)
    _say_sum({name: done[name] for name in ("created", "updated")}, "archived", found)
    return True


async def _carry_out(ctx: "Context", found: "Survey") -> None:
    from payments.cli.rebuild import progress_bar
    from payments.domains.catalog.sync_file import archive, carry_out

    gone = (*found.strays, *found.leftovers)
    with progress_bar() as progress:
        task = progress.add_task("catalogue", total=len(found.changes) + len(gone))
        for change in found.changes:
            await carry_out(ctx, change)
            _say(change, change.done)
            progress.advance(task)
        for seen in gone:
            await archive(ctx, seen)
            _say_archived(seen, "archived")
            progress.advance(task)


async def _pull(settings: Settings, tombstones: int) -> bool:
    from payments.cli.opening import opened
    from payments.cli.rebuild import progress_bar, say, walk
    from payments.domains.catalog import RESOURCES
    from payments.sync.rebuild import begin, end

    async with opened(settings) as ctx:
        courses = await begin(ctx.sync, RESOURCES, restart=False)
        with progress_bar() as progress:
            await walk(ctx, courses, progress, tombstones=tombstones)
        await end(ctx.sync, courses)
    return say(courses)


def _say(change: "Change", word: str) -> None:
    typer.echo(f"{word:9}  {change.entry.key:20} {change.cost:>16}  {change.entry.name}")
    for difference in change.differences:
        typer.echo(f"             {difference}")


def _say_archived(seen: "Observation", word: str) -> None:
    said = seen.object
    name, of = (
        (said["metadata"]["key"], said["name"]) if "name" in said else (said["product"], seen.id)
    )
    typer.echo(f"{word:9}  {name:20} {'':>16}  {of}")


def _say_odd(found: "Survey", named: Mapping[str, str]) -> None:
    """What applying does not mend."""
    for id, problems in found.malformed.items():
        for problem in problems:
            typer.echo(f"malformed  {id}: {problem}")
    for change in found.changes:
        key, price = change.entry.key, change.price
        if key in named and not (change.keeps_price and price and price.id == named[key]):
            typer.echo(f"held       {key}: STRIPE_PRICE_{key.upper()}={named[key]} wins over this")


def _say_sum(said: Mapping[str, int], archived: str, found: "Survey") -> None:
    if found.agrees:
        typer.echo(f"Nothing to change: {len(found.changes)} products are as the file says.")
        return
    counts = {**said, archived: len(found.strays) + len(found.leftovers)}
    typer.echo(", ".join(f"{number} {name}" for name, number in counts.items()) + ".")
