"""`pause`, `resume`: stop effects, messages or refunds in every process, and let them go on."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, load

if TYPE_CHECKING:
    from payments.sync.switches import Name

Named = Annotated[str, typer.Argument(help="effects, messages or refunds.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept, and shown.")]


def pause(
    name: Annotated[
        str | None, typer.Argument(help="effects, messages or refunds; none shows all three.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Stop effects, messages or refunds, within a second; nothing of them is lost.

    Payments are taken and followed meanwhile.
    """
    settings = load()
    if name is not None:
        asyncio.run(_turn(settings, _known(name), reason, paused=True))
    asyncio.run(_show(settings))


def resume(name: Named, reason: Reason = None) -> None:
    """Let go on what was paused, and make up what has waited."""
    settings = load()
    if not asyncio.run(_turn(settings, _known(name), reason, paused=False)):
        sys.exit(f"payments resume: {name} are not paused")
    asyncio.run(_show(settings))


def _known(name: str) -> "Name":
    from payments.sync.switches import NAMES

    for known in NAMES:
        if known == name:
            return known
    sys.exit(f"payments: {name!r} cannot be paused; there are {', '.join(NAMES)}")


async def _turn(settings: Settings, name: "Name", reason: str | None, *, paused: bool) -> bool:
    from payments.cli.opening import reading
    from payments.sync import switches

    async with reading(settings) as ctx, ctx.db.transaction() as tx:
        now = ctx.clock.now()
        if not paused:
            return await switches.resume(tx, None, name, reason=reason, now=now)
        await switches.pause(tx, None, name, reason=reason, now=now)
        return True


async def _show(settings: Settings) -> None:
    from payments.cli.opening import reading
    from payments.sync import switches

    async with reading(settings) as ctx, ctx.db.transaction() as tx:
        states = await switches.states(tx)
    for state in states:
        waiting = f"  {state.waiting} waiting" if state.waiting else ""
        if not state.paused:
            typer.echo(f"{state.name:9} on{waiting}")
            continue
        why = f"  {state.reason}" if state.reason else ""
        since = f"{state.paused_at:%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{state.name:9} paused since {since} by {state.paused_by}{waiting}{why}")
