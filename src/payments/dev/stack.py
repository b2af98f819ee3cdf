"""Everything on one machine: database, offline Stripe, API and worker, started in order."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import asyncpg
import httpx2
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from payments.dev.binaries import PostgresUnavailable
from payments.dev.children import ChildEnded, Children
from payments.dev.postgres import EmbeddedPostgres
from payments.dev.surroundings import (
    TOKENS,
    WEBHOOK,
    Plan,
    StackRefused,
    Wishes,
    draw_up,
    environment,
    kept_secrets,
    sole_stack,
)
from payments.settings import UnsafeSettings, load

READY_WITHIN = 30.0  # seconds


class Stack:
    """One run of the development stack."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._env: Mapping[str, str] = {}

    async def run(self) -> None:
        """Starts everything and stays until it is cancelled.

        Raises:
            StackRefused, PostgresUnavailable: it cannot start.
            ChildEnded: a part of it has ended.
        """
        self._plan.check()
        async with AsyncExitStack() as held:
            held.enter_context(sole_stack(self._plan.data_dir))
            server = await self._database(held)
            children = await held.enter_async_context(Children(self._plan.data_dir / "logs"))
            watches = [children.watch()] if server is None else [children.watch(), mourn(server)]
            await all_or_none(self._serve(children), *watches)

    async def _database(self, held: AsyncExitStack) -> EmbeddedPostgres | None:
        own = self._plan.settings.database_url
        if own is not None:
            self._env = environment(self._plan, database_url=own.get_secret_value())
            return None
        with self._step("PostgreSQL", str(self._plan.data_dir)):
            server = await held.enter_async_context(EmbeddedPostgres(self._plan.data_dir))
            if self._plan.wishes.fresh:
                await self._empty(server)
            await server.ensure_database()
        self._env = environment(self._plan, database_url=server.url())
        return server

    async def _empty(self, server: EmbeddedPostgres) -> None:
        self._console.print(f"  --fresh: emptying {escape(str(self._plan.data_dir))}")
        await server.drop_database()
        self._plan.forget_sandbox()

    async def _serve(self, children: Children) -> None:
        plan = self._plan
        if plan.sandboxed:
            await children.start("sandbox", sandbox_command(plan), self._env)
        with self._step("Migrations", "payments migrate"):
            await children.run("migrate", payments_command("migrate"), self._env)
        await children.start("api", api_command(plan), self._env)
        await children.start("worker", worker_command(plan), self._env)
        if plan.sandboxed:
            with self._step("Offline Stripe", plan.sandbox_url):
                await answering(plan.sandbox_url)
        await all_or_none(self._await_api(), self._set_up(children))
        await self._demonstrate()
        self._console.print(panel(plan))
        if plan.polls:
            self._console.print("Stripe's events are asked for every 2 s. To have them posted:")
            self._console.print(f"  stripe listen --forward-to {plan.url}{WEBHOOK}")
            self._console.print("and set STRIPE_WEBHOOK_SECRET to the whsec_… that it prints.")

    async def _await_api(self) -> None:
        with self._step("API and worker", self._plan.url):
            await answering(f"{self._plan.url}/livez")

    async def _set_up(self, children: Children) -> None:
        if self._plan.set_up(self._env):
            return
        with self._step("Setup", "payments setup"):
            await children.run("setup", payments_command("setup"), self._env)
            self._plan.note_setup(self._env)

    async def _demonstrate(self) -> None:
        plan = self._plan
        if not (plan.wishes.demo and plan.sandboxed and await unused(self._env["DATABASE_URL"])):
            return
        from payments.dev import demo  # it needs the API's modules, which take their time

        try:
            await demo.tell(api=plan.url, sandbox=plan.sandbox_url, console=self._console)
        except demo.DemoFailed as error:
            self._console.print(f"The demo did not get there: {error}", style="red", markup=False)

    @contextmanager
    def _step(self, name: str, detail: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        took = f"{time.monotonic() - start:.1f} s"
        self._console.print(f"  [green]✓[/] {name:<15} {escape(detail)}  [dim]{took}[/]")


async def up(wishes: Wishes, console: Console) -> int:
    """Runs the stack until Ctrl-C, SIGTERM or SIGHUP, or until a part of it ends.

    Returns:
        The exit status: 0 after a signal, 1 otherwise.
    """
    running = asyncio.ensure_future(serve(wishes, console))
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop_once(running, console))
    try:
        await running
    except asyncio.CancelledError:
        console.print("Stopped.")
        return 0
    except (UnsafeSettings, StackRefused, PostgresUnavailable, ChildEnded) as error:
        console.print(str(error), style="red", markup=False)
    return 1


def ending_signals() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, and the end of the terminal unless nohup has been asked for."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


async def serve(wishes: Wishes, console: Console) -> None:
    await Stack(await draw_up(wishes, load()), console).run()


def stop_once(running: asyncio.Future[None], console: Console) -> Callable[[], None]:
    """A second signal must not interrupt the clean end."""
    asked = False

    def stop() -> None:
        nonlocal asked
        if not asked:
            asked = True
            running.cancel()
            console.print("Stopping …")

    return stop


async def all_or_none(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts together; when one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def mourn(server: EmbeddedPostgres) -> None:
    await server.ended()
    raise ChildEnded(f"PostgreSQL ended; the end of its log:\n{server.last_words()}")


async def answering(url: str) -> None:
    """Waits until a server answers at all; what it says is its own affair."""
    deadline = time.monotonic() + READY_WITHIN
    async with httpx2.AsyncClient() as client:
        while True:
            try:
                await client.get(url)
            except httpx2.TransportError:
                if time.monotonic() > deadline:
                    raise ChildEnded(f"{url} does not answer after {READY_WITHIN:.0f} s") from None
                await asyncio.sleep(0.05)
            else:
                return


async def unused(database_url: str) -> bool:
    """Whether nobody has booked anything in this database yet."""
    plain = database_url.replace("postgresql+asyncpg://", "postgresql://")
    connection = await asyncpg.connect(plain)
    try:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM bookings)")
    finally:
        await connection.close()


def payments_command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from payments.cli import main; main()", *arguments]


def worker_command(plan: Plan) -> list[str]:
    return payments_command("worker", *(["--poll-events"] if plan.polls else []))


def api_command(plan: Plan) -> list[str]:
    options = ["--factory", "--host", "127.0.0.1", "--port", str(plan.port)]
    options += ["--timeout-graceful-shutdown", "2"]
    return [sys.executable, "-m", "uvicorn", "payments.dev.api:create_app", *options]


def sandbox_command(plan: Plan) -> list[str]:
    main = "from stripe_sandbox.cli import main; main()"
    options = [
        "--port",
        str(plan.wishes.sandbox_port),
        "--data",
        str(plan.sandbox_state),
        "--new-account",
    ]
    options += ["--webhook", f"{plan.url}{WEBHOOK}"]
    options += ["--webhook-secret", kept_secrets(plan.data_dir).webhook]
    return [sys.executable, "-c", main, *options]


def panel(plan: Plan) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("Demo shop", f"{plan.url}/demo")
    table.add_row("API", f"{plan.url}/docs")
    if plan.sandboxed:
        table.add_row("Offline Stripe", plan.sandbox_url)
    if plan.polls:
        table.add_row("Webhooks", "none needed: events are polled")
    table.add_row("Tokens", ", ".join(TOKENS))
    table.add_row("Data and logs", str(plan.data_dir))
    table.add_row("Commands", f". {plan.commands}; payments …")
    return Panel(table, title="ready", subtitle="Ctrl-C stops everything", expand=False)
