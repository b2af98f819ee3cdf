"""`payments dev`: the whole stack on one machine."""

import sys
from pathlib import Path

import typer


def dev(
    port: int = typer.Option(8000, help="Port of the API and the demo shop."),
    sandbox_port: int = typer.Option(12111, help="Port of the offline Stripe."),
    data_dir: Path | None = typer.Option(None, help="Default: .payments/<Stripe account>."),
    fresh: bool = typer.Option(False, "--fresh", help="Empty the database and the offline Stripe."),
    demo: bool = typer.Option(True, help="Show one booking being paid on an empty database."),
) -> None:
    """Start database, offline Stripe, API and worker; Ctrl-C stops all of it.

    DATABASE_URL and STRIPE_SECRET_KEY are used when they are set. Only 127.0.0.1 is listened on.
    """
    if sys.platform == "win32":
        sys.exit("payments dev needs Linux or macOS: on Windows run it in WSL.")
    import asyncio

    from rich.console import Console

    from payments.dev.stack import up
    from payments.dev.surroundings import Wishes

    wishes = Wishes(port=port, sandbox_port=sandbox_port, data_dir=data_dir, fresh=fresh, demo=demo)
    raise typer.Exit(asyncio.run(up(wishes, Console(highlight=False, soft_wrap=True))))
