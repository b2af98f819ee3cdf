"""`make bench`: speed, latency, growth and memory, each a ratio beside what is wanted of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench import growth, latency, memory, sandbox, speed
from bench.load import CONNECTIONS, generator
from bench.rig import Rig, Told, open_rig
from bench.speed import ROUNDS, SECONDS, Speeds, middle, ratio


class Part(StrEnum):
    """What can be measured."""

    SPEED = "speed"
    LATENCY = "latency"
    GROWTH = "growth"
    MEMORY = "memory"
    SANDBOX = "sandbox"


STEPS = ROUNDS * 4

console = Console(highlight=False, soft_wrap=True)


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to measure; all of it.")] = None,
) -> None:
    """Measure on this machine. Its seconds say little about another one; ratios do."""
    console.print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, {generator()}")
    asyncio.run(measure(parts or list(Part)))


async def measure(parts: list[Part]) -> None:
    if set(parts) & {Part.SPEED, Part.LATENCY, Part.GROWTH}:
        await _service(parts)
    if Part.MEMORY in parts:
        async with open_rig() as rig:
            await _memory(rig)
    if Part.SANDBOX in parts:
        await _sandbox()


async def _service(parts: list[Part]) -> None:
    async with open_rig() as rig:
        if Part.SPEED in parts or Part.GROWTH in parts:
            rounds = await _speed(rig)
        if Part.LATENCY in parts:
            await _latency(rig)
        if Part.GROWTH in parts:
            await _growth(rig, rounds)


async def _speed(rig: Rig) -> list[Speeds]:
    with _bar("speed", STEPS) as told:
        rounds = await speed.measure(rig, told)
    rates = middle(rounds)
    console.print(f"  a route that reads the body     {rates.bare:7,.0f} /s")
    console.print(f"  a handler written by hand       {rates.hand_written:7,.0f} /s")
    console.print(f"  webhook, acknowledged           {rates.acknowledged:7,.0f} /s")
    console.print(f"  webhook, applied to its booking {rates.applied:7,.0f} /s")
    _say("acknowledged", ratio(rounds, "acknowledged", "bare"), "of the bare route", least=0.30)
    written = ratio(rounds, "acknowledged", "hand_written")
    _say("acknowledged", written, "of the hand-written handler", least=2.5)
    _say("applied", ratio(rounds, "applied", "bare"), "of the bare route", least=0.28)
    return rounds


async def _latency(rig: Rig) -> None:
    with _bar("latency", latency.PAYMENTS) as told:
        waits = await latency.measure(rig, told)
    _say("webhook sent → booking paid", waits.paid / waits.get, "GETs of the booking", most=5)


async def _growth(rig: Rig, empty: list[Speeds]) -> None:
    with _bar("filling", growth.ROWS) as told:
        await growth.fill(rig, told)
    with _bar("growth", STEPS) as told:
        full = await growth.measure(rig, told)
    for name in ("acknowledged", "applied"):
        kept = ratio(full.rounds, name, "bare") / ratio(empty, name, "bare")
        _say(f"{name}, {growth.ROWS:,} rows", kept, "of that on an empty database", least=0.8)
    for name, rows in full.read.items():
        _say(
            f"{len(growth.ASKED)} lists, filters, timelines",
            rows,
            f"rows of {name}",
            most=growth.MANY,
        )


async def _memory(rig: Rig) -> None:
    with _bar("memory", memory.MANY) as told:
        held = await memory.measure(rig, told)
    for name, resident in held.items():
        about = f"({resident.few:.0f} MB after {memory.FEW:,} events)"
        _say(f"{name} after {memory.MANY:,} events", resident.many / resident.few, about, most=1.2)


async def _sandbox() -> None:
    with _bar("sandbox", sandbox.MANY) as told:
        found = await sandbox.measure(told)
    _say("offline Stripe, a simple call", found.call, "ms, in process", most=1)
    _say("from the command to listening", found.start, "s", most=2)
    for name, slower in found.slower.items():
        of = f"of the time with {sandbox.FEW:,} objects"
        _say(f"{name}, {sandbox.MANY:,} objects", slower, of, most=1.5)
    _say("memory", found.kilobytes, "KB an object", most=4)


def _say(
    what: str, found: float, of: str, *, least: float | None = None, most: float | None = None
) -> None:
    wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
    good = found >= least if least is not None else found <= (most or 0)
    shown = f"{found:,.0f}" if found == int(found) else f"{found:.2f}"
    missed = "" if good else ": MISSED"
    console.print(f"  {what:34} {shown:>6} {of}; wanted {wanted}{missed}")


@contextmanager
def _bar(name: str, total: int) -> Iterator[Told]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda steps: progress.advance(task, steps)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
