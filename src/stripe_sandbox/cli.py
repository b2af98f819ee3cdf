"""The command `stripe-sandbox`."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import httpx2
import typer

from stripe_sandbox import serving, triggers
from stripe_sandbox.config import Config
from stripe_sandbox.engine.chaos import Chaos
from stripe_sandbox.engine.state import StateLocked, StateUnreadable

_HELP = """\
An offline Stripe: the API, the hosted pages, signed webhooks and a dashboard. No account, no
network, no real money.

Point any official SDK at it, or the Stripe CLI; every sk_test_… key is accepted:

\b
    stripe.StripeClient(
        "sk_test_1", base_addresses={"api": "http://127.0.0.1:12111"}
    )
    stripe --api-base http://127.0.0.1:12111 trigger charge.succeeded

See what happens, send events again, move clocks: http://127.0.0.1:12111/

Send its webhooks to your service (more endpoints: POST /v1/webhook_endpoints):

\b
    stripe-sandbox --webhook http://127.0.0.1:8000/webhook \\
                   --webhook-secret whsec_test

Let something happen:

\b
    stripe-sandbox trigger checkout.session.completed

Pay on the pages:

\b
    4242 4242 4242 4242   succeeds
    4000 0000 0000 0002   is declined
    4000 0027 6000 3184   asks for authentication

What Stripe settles later (debits, pending refunds, fees) settles after --settle-after seconds, or
at once with: curl -X POST http://127.0.0.1:12111/_sandbox/settle

A route that is not simulated answers 501 and names itself.
"""

_KEY = ("sk_test_of_the_command", "")
_WHOLE = 100

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_Host = Annotated[str, typer.Option(help="Address to bind. There is no password: keep others out.")]
_BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="Where a browser finds it, if not where it binds (a container, a proxy).",
        show_default="the address it binds",
    ),
]
_Data = Annotated[
    Path | None,
    typer.Option(
        help="File that keeps everything across restarts, kill -9 included.",
        metavar="FILE",
        show_default="in memory",
    ),
]
_Webhook = Annotated[
    str | None,
    typer.Option(help="Endpoint that receives every event, from the start on.", metavar="URL"),
]
_WebhookSecret = Annotated[
    str | None, typer.Option(help="Its signing secret.", show_default="made up once and printed")
]
_SettleAfter = Annotated[
    float, typer.Option(help="Seconds until debits, pending refunds and fees settle.")
]
_RetryPace = Annotated[
    float,
    typer.Option(
        help="Multiplies the pauses between attempts to deliver (0.5 s, growing to 10 min).",
        min=0.001,
    ),
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
_NewAccount = Annotated[
    bool,
    typer.Option(
        "--new-account", help="Nobody has saved the portal's settings yet: it has no default."
    ),
]
_LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], typer.Option(help="How much to tell.")
]


_Url = Annotated[str, typer.Option(help="Where the sandbox runs.")]
_Event = Annotated[str, typer.Argument(help="Its type.", show_default="list them")]
_HERE = "http://127.0.0.1:12111"


@app.callback(invoke_without_command=True, help=_HELP)
def serve(
    context: typer.Context,
    *,
    host: _Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind; 0 takes a free one.")] = 12111,
    base_url: _BaseUrl = None,
    data: _Data = None,
    webhook: _Webhook = None,
    webhook_secret: _WebhookSecret = None,
    retry_pace: _RetryPace = 1.0,
    settle_after: _SettleAfter = 3.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the data file first.")] = False,
    tax_rate: _TaxRate = "0",
    chaos: _Chaos = "0",
    seed: _Seed = None,
    new_account: _NewAccount = False,
    log_level: _LogLevel = "info",
) -> None:
    if context.invoked_subcommand:
        return
    logging.basicConfig(level=log_level.upper(), format="%(levelname)-7s %(name)s  %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with closing(_listen(host, port)) as listener:
        config = Config(
            base_url=base_url or f"http://{host}:{listener.getsockname()[1]}",
            state=data,
            fresh=fresh,
            webhook_url=webhook,
            webhook_secret=webhook_secret,
            settle_after=settle_after,
            tax_rate=_read_percent(tax_rate),
            chaos=_read_chaos(chaos, seed),
            portal_saved=not new_account,
        )
        delays = tuple(delay * retry_pace for delay in config.retry_delays)
        try:
            config = replace(config, retry_delays=delays)
            asyncio.run(serving.serve(config, listener, log_level=log_level))
        except (StateLocked, StateUnreadable) as error:
            _stop(f"stripe-sandbox: {error}")


@app.command()
def trigger(event: _Event = "", url: _Url = _HERE) -> None:
    """Make an event happen by doing what leads to it."""
    if event not in triggers.events():
        said = f"stripe-sandbox: there is no recipe for {event}; there are:" if event else ""
        typer.echo("\n".join([said, *triggers.events()]).lstrip(), err=bool(event))
        raise typer.Exit(1 if event else 0)
    with _reach(url):
        first, *others = asyncio.run(_trigger(event, url))
    typer.echo(f"{event}  {first}")
    typer.echo("made: " + ", ".join(others))


@app.command()
def resend(event: Annotated[str, typer.Argument(help="Its id, evt_…")], url: _Url = _HERE) -> None:
    """Deliver an event once more to all who want it."""
    with _reach(url):
        answer = httpx2.post(f"{url}/v1/events/{event}/retry", auth=_KEY)
    if answer.is_error:
        _stop(f"stripe-sandbox: {answer.json()['error']['message']}")
    typer.echo(f"{answer.json()['type']}  {event} is on its way")


async def _trigger(event: str, url: str) -> list[str]:
    async with httpx2.AsyncClient(base_url=url, auth=_KEY) as http:
        return await triggers.trigger(http, event)


@contextmanager
def _reach(url: str) -> Iterator[None]:
    try:
        yield
    except triggers.NotTriggered as problem:
        _stop(f"stripe-sandbox: {problem}")
    except httpx2.TransportError:
        _stop(f"stripe-sandbox: no sandbox answers at {url}; start one with stripe-sandbox")


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


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
