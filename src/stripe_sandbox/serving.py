"""Runs one sandbox on one socket, and says where."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from stripe_sandbox.app import create_app
from stripe_sandbox.config import Config
from stripe_sandbox.http import ConnectionCut


async def serve(config: Config, listener: socket.socket, *, log_level: str) -> None:
    """Until a signal says stop.

    Raises:
        StateLocked: another process has the file.
        StateUnreadable: the file is not a sandbox's.
    """
    application = create_app(config)
    application.sandbox.start()
    _greet(config, application.sandbox.webhook_secret)
    server = _Server(
        uvicorn.Config(
            _hang_up(application),
            log_config=None,
            date_header=False,
            log_level="warning",
            access_log=log_level == "debug",
            timeout_graceful_shutdown=3,
        )
    )
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Being told to stop is no failure: uvicorn's own would die of the signal in the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _greet(config: Config, secret: str | None) -> None:
    kept = f"state in {config.state}" if config.state else "state in memory"
    typer.echo(f"Offline Stripe on {config.base_url} ({kept}). No real money.")
    if secret:
        shown = "the given secret" if config.webhook_secret else secret
        typer.echo(f"Events go to {config.webhook_url}, signed with {shown}")
    if any(config.chaos.rates.values()):
        typer.echo(f"Chaos reigns; --seed {config.chaos.seed} tells the same story again.")
    sys.stdout.flush()


def _hang_up(application: ASGIApp) -> ASGIApp:
    """A cut connection is meant; the server need not log it as a crash."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except ConnectionCut:
            return

    return quiet
