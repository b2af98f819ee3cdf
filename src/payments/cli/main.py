"""Commands, each a few lines over the code that does the work; `--help` stays quick."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from payments import __version__
from payments.cli import serving, tokens
from payments.cli.catalog import catalog, products_create
from payments.cli.customers import customers
from payments.cli.demo import demo
from payments.cli.dev import dev
from payments.cli.doctor import doctor
from payments.cli.events import events
from payments.cli.explain import explain
from payments.cli.integration import try_integration
from payments.cli.logs import logs
from payments.cli.messages import messages
from payments.cli.pause import pause, resume
from payments.cli.portal import portal
from payments.cli.rebuild import rebuild
from payments.cli.reconcile import reconcile
from payments.cli.retention import retention
from payments.cli.setup import setup
from payments.cli.subscriptions import cancel_subscription, change_plan, retry_payment
from payments.cli.webhooks import try_webhooks, webhooks
from payments.settings import UnsafeSettings

app = typer.Typer(
    help="Bookings get paid through Stripe. `payments dev` runs all of it on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    dev, demo, setup, doctor, explain, serving.serve, serving.worker, serving.migrate, rebuild,
    reconcile, pause, resume, retention, tokens.token,
    products_create, cancel_subscription, change_plan, retry_payment, logs,
):  # fmt: skip
    app.command()(command)
app.command("test-integration")(try_integration)
app.command("test-webhooks")(try_webhooks)
app.add_typer(catalog, name="catalog")
app.add_typer(portal, name="portal")
app.add_typer(customers, name="customers")
app.add_typer(webhooks, name="webhooks")
app.add_typer(messages, name="messages")
app.add_typer(events, name="events")


def version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    show: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options that stand before a command."""


def main() -> None:
    """Run a command; what can be foreseen is said in plain lines, without a traceback."""
    # AUTHENTICATE and PAYABLES may name modules of the folder one is in, as `python -m` does.
    sys.path.append(str(Path.cwd()))
    try:
        app()
    except UnsafeSettings as exc:
        sys.exit(f"payments: {exc}")
    except Exception as exc:
        from payments.core.db import is_outage
        from payments.core.errors import Problem

        if isinstance(exc, Problem):
            sys.exit(f"payments: {exc}")
        if is_outage(exc):
            sys.exit(f"payments: the database is not available: {exc}")
        raise
