"""`make triggers`: lets the official Stripe CLI trigger every event of these families against the
offline Stripe, and says for how many the event was then there.
"""

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from rich.console import Console
from rich.progress import track

FAMILIES = (
    "billing_portal.",
    "charge.",
    "checkout.session.",
    "coupon.",
    "credit_note.",
    "customer.",
    "invoice.",
    "invoiceitem.",
    "payment_intent.",
    "payment_method.",
    "payout.",
    "price.",
    "product.",
    "promotion_code.",
    "quote.",
    "refund.",
    "reporting.",
    "setup_intent.",
    "subscription.payment_",
    "test_helpers.",
)
EXCLUDED = {
    "customer.source.": "sources are older than payment methods",
    "payment_intent.partially_funded": "needs a cash balance",
}
ALIASES = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
"""Triggers that are named after no event, and the event they are about."""

KEY = "sk_test_of_the_cli"
PACKAGE = "@stripe/cli"
PATIENCE = 60  # seconds for one command of the CLI
CRASHES = ("panic:", "fatal error:")
QUIET = {"STRIPE_CLI_TELEMETRY_OPTOUT": "1"}  # its telemetry now and then crashes it at the end

console = Console(highlight=False, soft_wrap=True)


class Failed(Exception):
    """A command of the CLI said so."""


@dataclass(frozen=True)
class Cli:
    """The official program, pointed at one sandbox; it writes into `home` alone."""

    program: Path
    home: Path
    url: str

    async def run(self, *arguments: str) -> str:
        """What it says.

        Raises:
            Failed: it ended with an error, or not at all.
        """
        there = ("--api-base", self.url, "--api-key", KEY)
        return await run(self.home, str(self.program), *there, *arguments)

    async def triggers(self) -> list[str]:
        """The names it lists that belong to the families."""
        said = await self.run("trigger", "--help")
        listed = said.partition("Supported events:")[2].partition("Usage:")[0].split()
        return [name for name in listed if name.startswith(FAMILIES) and not excluded(name)]


@dataclass(frozen=True)
class Offline:
    """The API of the running sandbox, as far as it is needed to look what has happened."""

    http: httpx2.AsyncClient

    async def newest(self, type: str) -> str | None:
        """The id of the newest event of this type."""
        page = await self.http.get("/v1/events", params={"type": type, "limit": 1})
        page.raise_for_status()
        return next((str(event["id"]) for event in page.json()["data"]), None)

    async def settle(self) -> None:
        (await self.http.post("/_sandbox/settle")).raise_for_status()


async def main(installed: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        program = installed or await install(home)
        if program is None:
            console.print("skipped: npm is not installed (apt install npm)")
            return 0
        async with sandbox() as url, httpx2.AsyncClient(base_url=url, auth=(KEY, "")) as http:
            return await report(Cli(program, home, url), Offline(http))


async def report(cli: Cli, offline: Offline) -> int:
    """Tries everything, one line for each failure; returns the exit code."""
    names = await cli.triggers()
    failures: dict[str, str] = {}
    for name in track(names, "triggers", console=Console(stderr=True), transient=True):
        if problem := await tried(cli, offline, name):
            failures[f"trigger {name}"] = problem
    console.print(f"{len(names) - len(failures)} of {len(names)} triggers made their event happen")
    for command, problem in {**failures, **await commands(cli, offline)}.items():
        failures[command] = problem
        console.print(f"  failed: stripe {command}: {problem}", markup=False)
    return int(bool(failures))


async def tried(cli: Cli, offline: Offline, name: str) -> str | None:
    """What went wrong with one trigger, if anything did."""
    event = ALIASES.get(name, name)
    before = await offline.newest(event)
    try:
        said = await cli.run("trigger", name)
    except Failed as error:
        return str(error)
    await offline.settle()
    if "Trigger succeeded" not in said:
        return error_of(said)
    return None if await offline.newest(event) != before else f"there is no new {event}"


async def commands(cli: Cli, offline: Offline) -> dict[str, str]:
    """What went wrong with the other commands that people use, by command."""
    event = await offline.newest("customer.created")
    wanted = {
        "customers list --limit=1": ("url", "/v1/customers"),
        "products create --name=x": ("name", "x"),
        "events list --limit=1": ("url", "/v1/events"),
        f"events resend {event}": ("id", event),
    }
    problems = {}
    for command, (name, value) in wanted.items():
        try:
            said = await cli.run(*command.split())
            if json.loads(said).get(name) != value:
                problems[command] = said
        except (Failed, json.JSONDecodeError) as error:
            problems[command] = str(error)
    console.print(f"{len(wanted) - len(problems)} of {len(wanted)} other commands did their work")
    return problems


def excluded(name: str) -> bool:
    return name.startswith(tuple(EXCLUDED))


async def install(home: Path) -> Path | None:
    """The program, from the npm registry; nothing where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    with console.status(f"npm install {PACKAGE}"):
        await run(home, npm, "install", "--no-audit", "--no-fund", "--no-save", PACKAGE)
    return home / "node_modules/.bin/stripe"


@asynccontextmanager
async def sandbox() -> AsyncIterator[str]:
    """A sandbox with nothing in it, on a free port."""
    command = (str(Path(sys.executable).with_name("stripe-sandbox")), "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, "--log-level", "error", stdout=PIPE)
    assert process.stdout is not None
    try:
        address = re.search(r"http://[\w.:]+", (await process.stdout.readline()).decode())
        if address is None:
            raise SystemExit("the sandbox did not start")
        yield address[0]
    finally:
        process.terminate()
        await process.wait()


async def run(home: Path, *command: str) -> str:
    """What a program says that finds no settings but its own.

    Raises:
        Failed: it ended with an error, or not at all.
    """
    environment = {**os.environ, **QUIET, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=home, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Failed(f"no answer within {PATIENCE} s") from None
    said = output.decode()
    if process.returncode:
        raise Failed(error_of(said))
    return said


def error_of(said: str) -> str:
    """The crash, or the error at the end of what a program says, without the progress before."""
    lines = [line for line in said.splitlines() if line.strip()]
    crash = next((line for line in lines if line.startswith(CRASHES)), None)
    return crash or (lines[-1] if lines else "it said nothing")


def command(
    installed: Annotated[
        Path | None,
        typer.Option(help="The CLI's program, where it is installed already.", resolve_path=True),
    ] = None,
) -> None:
    """Try the official Stripe CLI on the offline Stripe."""
    raise typer.Exit(asyncio.run(main(installed)))


if __name__ == "__main__":
    typer.run(command)
