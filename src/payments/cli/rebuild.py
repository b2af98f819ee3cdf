"""`rebuild`: the mirrors written anew from all that Stripe lists."""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from rich.progress import Progress

    from payments.context import Context
    from payments.sync.rebuild import Course
    from payments.sync.rehearse import Difference
    from payments.sync.resources import Resource
    from payments.sync.throttle import Throttle

Names = Annotated[
    list[str] | None,
    typer.Option("--resource", help="payment_intent, refund, …; given twice for both. [all]"),
]


def rebuild(
    *,
    resource: Names = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would differ; change nothing.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="From the first page, not where it was cut short.")
    ] = False,
    yes_tombstone: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Agree that N rows of a kind are gone at Stripe."),
    ] = 0,
) -> None:
    """Write the mirrors anew from all that Stripe lists, while the service runs.

    A row that Stripe does not list is looked up, and tombstoned only if Stripe says that it is
    gone; if 1 % of a kind or more are, you are asked. Cut short, it goes on when it is called
    again. At the end all that follows from the mirrors is recomputed, and must stand as it is.
    """
    settings, names = load(), resource or []
    if dry_run:
        sound = asyncio.run(_preview(settings, names))
    else:
        sound = asyncio.run(_rebuild(settings, names, restart=restart, tombstones=yes_tombstone))
    raise typer.Exit(0 if sound else 1)


def progress_bar() -> "Progress":
    """One bar for each kind of object."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    # What is found goes to stdout at once, past the bars where only they are on a terminal.
    return Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty())


def _chosen(ctx: "Context", names: Sequence[str]) -> "list[Resource]":
    known = ctx.sync.registry.by_name
    if unknown := sorted(set(names) - known.keys()):
        sys.exit(f"payments rebuild: no {', '.join(unknown)} is mirrored; {', '.join(known)} are")
    return [resource for resource in known.values() if not names or resource.name in names]


async def _rebuild(
    settings: Settings, names: Sequence[str], *, restart: bool, tombstones: int
) -> bool:
    """Rebuild, recheck and say how it went; return whether all is well."""
    from payments.cli.opening import opened
    from payments.sync.rebuild import begin, end

    async with opened(settings) as ctx:
        courses = await begin(ctx.sync, _chosen(ctx, names), restart=restart)
        with progress_bar() as progress:
            await walk(ctx, courses, progress, tombstones=tombstones)
            differences = await _recheck(ctx, progress)
        await end(ctx.sync, courses)
    sound = say(courses)
    if differences:
        _show(differences)
        typer.echo(f"{len(differences)} rows are not what follows from the mirrors")
    return sound and not differences


async def walk(
    ctx: "Context", courses: "Sequence[Course]", progress: "Progress", *, tombstones: int
) -> None:
    """Write kind after kind anew; too many that are gone end the command, once all else is done."""
    from payments.sync.rebuild import TooManyGone, count, rebuild
    from payments.sync.throttle import Throttle

    throttle = Throttle(ctx.settings.stripe_rate)
    too_many: list[str] = []
    for course in courses:
        total = await count(ctx.sync, course.resource)
        task = progress.add_task(course.resource.name, total=total, completed=course.listed)
        try:
            async for seen in rebuild(ctx.sync, throttle, course, tombstones=tombstones):
                progress.advance(task, seen)
        except TooManyGone as exc:
            too_many.append(str(exc))
        progress.update(task, total=progress.tasks[task].completed)
    if too_many:
        sys.exit(f"payments: {'; '.join(too_many)}")


async def _recheck(ctx: "Context", progress: "Progress") -> "list[Difference]":
    from payments.sync.rebuild import count
    from payments.sync.recheck import recheck

    total = sum([await count(ctx.sync, resource) for resource in ctx.sync.registry.resources])
    task = progress.add_task("what follows", total=total)
    found = {}
    async for looked_at, differences in recheck(ctx.sync):
        found.update({(difference.table, difference.id): difference for difference in differences})
        progress.advance(task, looked_at)
    return list(found.values())


def say(courses: "Iterable[Course]") -> bool:
    """Tell how it went with each kind, and what went wrong by name; return whether all is well."""
    sound = True
    for course in courses:
        typer.echo(
            f"{course.resource.name:18}{course.listed} listed, {course.found} found by id alone, "
            f"{course.gone} tombstoned"
        )
        for id in course.missing:
            typer.echo(f"missing           {id}  Stripe does not know it; its row stays as it is")
        for id in course.failed:
            typer.echo(f"not applied       {id}  see `payments events list --object {id}`")
        for id in course.refused:
            typer.echo(f"refused           {id}  its row is further in its life than Stripe says")
        sound = sound and course.sound
    return sound


def _show(differences: "Sequence[Difference]") -> None:
    from rich.console import Console

    from payments.cli.events import table_of

    if differences:
        Console(soft_wrap=True).print(table_of(differences))


async def _preview(settings: Settings, names: Sequence[str]) -> bool:
    """Say what a rebuild would change; return whether all of it could be applied."""
    from payments.cli.opening import reading
    from payments.sync.account import compare, identify
    from payments.sync.throttle import Throttle

    throttle = Throttle(settings.stripe_rate)
    async with reading(settings) as ctx:
        await compare(ctx.db, await identify(ctx.stripe), livemode=settings.live)
        with progress_bar() as progress:
            said = [
                await _preview_one(ctx, throttle, resource, progress)
                for resource in _chosen(ctx, names)
            ]
    for line, _ in said:
        typer.echo(line)
    return all(sound for _, sound in said)


async def _preview_one(
    ctx: "Context", throttle: "Throttle", resource: "Resource", progress: "Progress"
) -> tuple[str, bool]:
    """Show one kind page by page; return its summary, and whether all of it could be applied."""
    from payments.sync.rebuild import count, preview

    living = await count(ctx.sync, resource)
    task = progress.add_task(resource.name, total=living)
    listed = known = differing = failed = 0
    async for page in preview(ctx.sync, throttle, resource):
        _show(page.differences)
        for id, error in page.failures.items():
            typer.echo(f"cannot be applied  {id}  {error}")
        listed, known = listed + page.listed, known + page.known
        differing, failed = differing + len(page.differences), failed + len(page.failures)
        progress.advance(task, page.listed)
    progress.update(task, total=listed)
    summary = (
        f"{resource.name:18}{listed} listed, {differing} rows would differ, "
        f"{max(0, living - known)} of ours not listed and to be looked up"
    )
    return summary, not failed
