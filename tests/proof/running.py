"""The product as processes on this machine, each of which can be killed and started again."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx2

from dev.folders import open_folder
from payments.core import migrations
from payments.core.principal import Role
from payments.dev.postgres import EmbeddedPostgres
from payments.domains.login import issue
from payments.settings import Settings
from ports import free_port
from world import KEY, SECRET, Json

PATIENCE = 300.0  # seconds: leases end after 60, and Stripe's later retries are minutes apart
START = 120.0
PAUSE = 0.2
AGAIN = (409, 502, 503, 504)


@dataclass
class Part:
    """One process, with its log."""

    command: list[str]
    env: dict[str, str]
    log: Path
    up: Callable[[], Awaitable[bool]]
    process: Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=self.env, stdout=log, stderr=log, cwd=self.log.parent
            )

    async def ready(self) -> None:
        deadline = monotonic() + START
        while not await self.up():
            assert self.alive, self.log.read_text()[-3000:]
            assert monotonic() < deadline, f"it is not up: {self.log.read_text()[-3000:]}"
            await asyncio.sleep(0.02)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def kill(self) -> None:
        assert self.process is not None
        assert self.alive, f"it was gone before: {self.log.read_text()[-3000:]}"
        self.process.kill()
        await self.process.wait()


@dataclass
class Running:
    """All parts, how to talk to them, and what is closed at the end."""

    held: AsyncExitStack
    settings: Settings
    folder: Path
    server: EmbeddedPostgres
    db: asyncpg.Pool
    api: httpx2.AsyncClient
    stripe: httpx2.AsyncClient
    parts: dict[str, Part] = field(default_factory=dict)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        taken: str | None = None,
        role: Role = "service",
        **headers: str,
    ) -> Json:
        """Ask as a client does that honours Retry-After: again for as long as that may help. Where
        the same was `taken` by an earlier try that had no answer, that is read.
        """
        token = issue(self.settings, user_id="shop", email=None, role=role, lifetime=DAY)
        headers |= {"Authorization": f"Bearer {token}"}
        said = ""
        for _ in range(int(PATIENCE / PAUSE)):
            try:
                answer = await self.api.request(
                    method, f"/api/v1{path}", json=body, headers=headers
                )
            except httpx2.TransportError as exc:
                said = repr(exc)
            else:
                said = answer.text
                if answer.status_code == HTTPStatus.CONFLICT and taken:
                    return await self.ask("GET", taken)
                if answer.status_code not in AGAIN:
                    assert answer.is_success, f"{method} {path}: {said}"
                    found: Json = answer.json()
                    return found
            await asyncio.sleep(PAUSE)
        raise AssertionError(f"{method} {path} is refused for good: {said}")

    async def at_stripe(self, method: str, path: str, **form: Any) -> Json:
        answer = await self.stripe.request(method, path, data=form or None)
        found: Json = answer.json()
        assert answer.status_code in (200, 402), found
        return found

    @property
    def postmaster(self) -> int:
        """The process that PostgreSQL's others descend from."""
        (pidfile,) = self.folder.rglob("postmaster.pid")
        return int(pidfile.read_text().splitlines()[0])

    async def every(self, path: str) -> list[Json]:
        """All that Stripe has of one kind."""
        return [object async for object in self.newest(path)]

    async def newest(self, path: str) -> AsyncIterator[Json]:
        """The same, from the newest on, page by page."""
        params: dict[str, Any] = {"limit": 100}
        more = True
        while more:
            page = (await self.stripe.get(f"/v1/{path}", params=params)).json()
            for object in page["data"]:
                yield object
                params["starting_after"] = object["id"]
            more = page["has_more"]

    async def quiet(self) -> None:
        """Wait until Stripe has delivered all events and the inbox has nothing left to do."""
        async with asyncio.timeout(PATIENCE):
            while await self._busy():  # noqa: ASYNC110 - other processes have no event to await
                await asyncio.sleep(PAUSE)

    async def _busy(self) -> bool:
        await self.at_stripe("POST", "/_sandbox/settle")
        health = (await self.stripe.get("/_sandbox/health")).json()
        waiting = await self.db.fetchval(
            "select count(*) from stripe_events where not_before is not null"
        )
        return bool(health["waiting_deliveries"] or waiting)

    async def close(self) -> None:
        for part in self.parts.values():
            if part.alive:
                await part.kill()


DAY = timedelta(days=1)


@asynccontextmanager
async def running(
    *, webhook: str | None = None, worker: list[str] | None = None
) -> AsyncIterator[Running]:
    """PostgreSQL, the offline Stripe, one API and one worker, on free ports of 127.0.0.1. Events
    are posted to the API, or to `webhook` instead; `worker` is started instead of the product's.
    """
    async with AsyncExitStack() as held:
        folder = held.enter_context(open_folder())
        server = await held.enter_async_context(EmbeddedPostgres(folder))
        await server.ensure_database()
        await migrations.upgrade(server.url())
        found = await connected(held, folder, server)
        if webhook is not None:
            command = found.parts["sandbox"].command
            command[command.index("--webhook") + 1] = webhook
        if worker is not None:
            found.parts["worker"].command = worker
        for part in found.parts.values():
            await part.start()
            await part.ready()
        yield found


async def connected(
    held: AsyncExitStack, folder: Path, server: EmbeddedPostgres, **changes: str
) -> Running:
    """The parts, not started yet, for a server that is reached directly from here."""
    api, stripe = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    wanted: dict[str, Any] = {
        "database_url": server.url(),
        "stripe_secret_key": "sk_test_sandbox",
        "stripe_webhook_secret": SECRET,
        "stripe_api_base": stripe,
        "stripe_rate": "500",
        "rate_limit_per_minute": "0",
        "secret_key": KEY,
        "log_level": "warning",
        **changes,
    }
    db = await asyncpg.create_pool(server.url(), min_size=1, max_size=2)
    held.push_async_callback(db.close)
    # A connection that is kept may be closed at the moment it is used again; not what is tested.
    limits = httpx2.Limits(max_keepalive_connections=0)
    callers = [httpx2.AsyncClient(base_url=url, timeout=15, limits=limits) for url in (api, stripe)]
    callers[1].headers["Authorization"] = "Bearer sk_test_sandbox"
    for caller in callers:
        await held.enter_async_context(caller)
    configured = Settings(_env_file=None, **wanted)
    found = Running(held, configured, folder, server, db, callers[0], callers[1])
    ours = {name.upper() for name in Settings.model_fields}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env |= {name.upper(): value for name, value in wanted.items()}
    for name, (command, up) in _commands(found, api, stripe).items():
        found.parts[name] = Part(command, env, folder / f"{name}.log", up)
    held.push_async_callback(found.close)
    return found


def _commands(
    found: Running, api: str, stripe: str
) -> dict[str, tuple[list[str], Callable[[], Awaitable[bool]]]]:
    async def listening() -> bool:
        query = "select count(*) from pg_stat_activity where query ilike 'listen%'"
        try:
            return bool(await found.db.fetchval(query))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    def port(url: str) -> str:
        return url.rpartition(":")[2]

    payments = [sys.executable, "-c", "from payments.cli import main; main()"]
    sandbox = [sys.executable, "-c", "from stripe_sandbox.cli import main; main()"]
    sandbox += ["--port", port(stripe), "--data", str(found.folder / "stripe.db")]
    sandbox += ["--webhook", f"{api}/api/v1/stripe/webhook", "--webhook-secret", SECRET]
    sandbox += ["--settle-after", "1", "--log-level", "warning"]
    return {
        "sandbox": (sandbox, lambda: _answers(found.stripe, "/_sandbox/health")),
        "api": ([*payments, "serve", "--port", port(api)], lambda: _answers(found.api, "/livez")),
        "worker": ([*payments, "worker"], listening),
    }


async def _answers(client: httpx2.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).is_success
    except httpx2.TransportError:
        return False
