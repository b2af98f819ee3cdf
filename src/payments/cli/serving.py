"""`serve`, `worker` and `migrate`: what a server runs."""

import asyncio
import signal
import sys
from ipaddress import ip_address
from math import ceil
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import Settings, Unregistered, UnsafeSettings, load

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve(
    host: Annotated[str | None, typer.Option(help="Address; HOST otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; PORT otherwise.")] = None,
) -> None:
    """Run the API. Any number of these may share one database."""
    import uvicorn

    from payments.app import create_app
    from payments.core import heap

    settings = load()
    host = host or settings.host
    if settings.environment == "development" and not is_loopback(host):
        raise UnsafeSettings(
            f"development gives tokens to anybody who asks, so it is not served on {host}: leave "
            "HOST and --host away, or set ENVIRONMENT to staging or production"
        )
    app = create_app(settings)
    asyncio.run(_preflight(app, settings))
    heap.settle()
    uvicorn.run(
        app,
        host=host,
        port=settings.port if port is None else port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # TRUSTED_PROXIES says whom to believe, in the application itself
        timeout_graceful_shutdown=ceil(settings.request_timeout),
    )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _preflight(app: "FastAPI", settings: Settings) -> None:
    """Say in one line, before a server is up, what would stop it."""
    from payments.app import greet
    from payments.context import open_context
    from payments.domains import assemble

    async with open_context(settings, assemble(settings.payables).registry) as ctx:
        await greet(app, ctx)


def worker(
    poll_events: Annotated[
        bool,
        typer.Option(
            "--poll-events", help="Ask Stripe for its events: for a machine that it cannot reach."
        ),
    ] = False,
) -> None:
    """Apply what Stripe has sent. Any number of these may share one database."""
    settings = load()
    try:
        _run_worker(settings, poll_events=poll_events)
    except* Exception as group:  # noqa: BLE001 - whatever died, restart beats limping
        sys.exit(f"payments worker: {'; '.join(str(exc) for exc in group.exceptions)}")


def _run_worker(settings: Settings, *, poll_events: bool) -> None:
    import prometheus_client
    import uvloop

    from payments import worker as process
    from payments.context import open_context
    from payments.core import heap, telemetry
    from payments.domains import assemble

    telemetry.configure(
        level=settings.log_level, fmt=settings.log_format, stripe_debug=settings.stripe_debug
    )

    async def run() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        async with open_context(settings, assemble(settings.payables).registry) as ctx:
            await process.run(ctx, stop, poll_events=poll_events)

    if settings.worker_metrics_port is not None:
        prometheus_client.start_http_server(settings.worker_metrics_port, settings.host)
    heap.settle()
    uvloop.run(run())


def migrate(
    revision: Annotated[str, typer.Argument(help="Where to; `head` is the newest.")] = "head",
) -> None:
    """Bring the database up to date. Safe to run at every start, from several machines at once."""
    bring_up(load(Unregistered), revision)


def bring_up(settings: Settings, revision: str = "head") -> None:
    from payments.core import migrations

    if settings.database_url is None:
        raise UnsafeSettings("DATABASE_URL is not set")
    if settings.database_url_sync is not None:
        typer.echo("DATABASE_URL_SYNC is ignored: migrations run on DATABASE_URL")
    # A migration holds a session's lock, so it goes around a transaction pooler.
    direct = settings.database_url_listen or settings.database_url
    asyncio.run(migrations.upgrade(direct.get_secret_value(), revision))
    typer.echo(f"the database is at {revision if revision != 'head' else migrations.head()}")
