"""The command `stripe-sandbox`."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from stripe_sandbox.app import create_app
from stripe_sandbox.config import Config
from stripe_sandbox.engine.chaos import Chaos
from stripe_sandbox.engine.state import StateLocked, StateUnreadable
from stripe_sandbox.http import ConnectionCut

_HELP = """\
An offline Stripe: the API, the hosted Checkout and customer portal, signed webhooks. No account, no
network, no real money.

Point any official SDK at it; every sk_test_… key is accepted:

\b
    stripe.StripeClient(
        "sk_test_1", base_addresses={"api": "http://127.0.0.1:12111"}
    )

Send its webhooks to your service:

\b
    stripe-sandbox --webhook-url http://127.0.0.1:8000/webhook \\
                   --webhook-secret whsec_test

Pay on the page:

\b
    4242 4242 4242 4242   succeeds
    4000 0000 0000 0002   is declined
    4000 0027 6000 3184   asks for authentication

What Stripe settles later (debits, pending refunds, fees) settles after --settle-after seconds, or
at once with: curl -X POST http://127.0.0.1:12111/_sandbox/settle

A route that is not simulated answers 501 and names itself.
"""

_WHOLE = 100

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Where a browser finds it, if not where it binds (a container, a proxy).",
        show_default="the address it binds",
    ),
]
_State = Annotated[
    Path | None,
    typer.Option(
        help="File that keeps everything across restarts, kill -9 included.",
        metavar="FILE",
        show_default="in memory",
    ),
]
_WebhookUrl = Annotated[
    str | None, typer.Option(help="Endpoint that receives every event, from the start on.")
]
_WebhookSecret = Annotated[
    str | None, typer.Option(help="Its signing secret.", show_default="made up once and printed")
]
_Chaos = Annotated[
    str,
    typer.Option(
        help="What goes wrong by itself: a rate for everything (0.1), or rates by name: duplicate,"
        " reorder, delay, drop (deliveries), 429, 500_before, 500_after, slow, cut (calls).",
        metavar="RATE|NAME=RATE,…",
    ),
]
_TaxRate = Annotated[
    str,
    typer.Option(help="What automatic_tax levies on everything, in percent.", metavar="PERCENT"),
]
_Seed = Annotated[int | None, typer.Option(help="Same seed, same chaos.", show_default="drawn")]
_LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option(help="How much to tell.")
]


@app.command(help=_HELP)
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind; 0 takes a free one.")] = 12111,
    base_url: _BaseUrl = None,
    state: _State = None,
    webhook_url: _WebhookUrl = None,
    webhook_secret: _WebhookSecret = None,
    settle_after: Annotated[
        float, typer.Option(help="Seconds until debits, pending refunds and fees settle.")
    ] = 3.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the state file first.")] = False,
    tax_rate: _TaxRate = "0",
    chaos: _Chaos = "0",
    seed: _Seed = None,
    log_level: _LogLevel = "info",
) -> None:
    logging.basicConfig(level=log_level.upper(), format="%(levelname)-7s %(name)s  %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with closing(_listen(host, port)) as listener:
        config = Config(
            base_url=base_url or f"http://{host}:{listener.getsockname()[1]}",
            state=state,
            fresh=fresh,
            webhook_url=webhook_url,
            webhook_secret=webhook_secret,
            settle_after=settle_after,
            tax_rate=_read_percent(tax_rate),
            chaos=_read_chaos(chaos, seed),
        )
        asyncio.run(_serve(config, listener, log_level))


def main() -> None:
    app()


def _read_chaos(text: str, seed: int | None) -> Chaos:
    try:
        return Chaos.read(text, seed=seed)
    except ValueError:
        _stop(
            f"stripe-sandbox: --chaos {text} is no chaos; give a rate from 0 to 1, or rates by name"
            f" as in drop=0.2,cut=0.05; the names are {', '.join(Chaos().rates)}"
        )


def _read_percent(text: str) -> Decimal:
    try:
        percent = Decimal(text)
        sound = 0 <= percent <= _WHOLE
    except InvalidOperation:
        sound = False
    if not sound:
        _stop(f"stripe-sandbox: --tax-rate {text} is no percentage; give one such as 19 or 8.25")
    return percent


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Without it the body of an answer waits 40 ms for the acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # from here on a caller waits and is not refused
    except OSError as error:
        listener.close()
        _stop(f"stripe-sandbox: cannot listen on {host}:{port}: {error.strerror}; try --port 0")
    return listener


async def _serve(config: Config, listener: socket.socket, log_level: str) -> None:
    application = create_app(config)
    try:
        application.sandbox.start()
    except (StateLocked, StateUnreadable) as error:
        _stop(f"stripe-sandbox: {error}")
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


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
