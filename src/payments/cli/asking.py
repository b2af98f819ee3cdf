"""Who acts on the command line: what will be done is said, and asked, before it is."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from payments.settings import Settings

if TYPE_CHECKING:
    from payments.core.principal import Principal


def operator() -> "Principal":
    """Who acts, as the audit log names it."""
    from payments.core.principal import Principal

    return Principal(user_id="command line", role="admin")


def ask(settings: Settings, intended: Sequence[str], *, yes: bool) -> None:
    """Say what is intended, and go on only if somebody agrees; `yes` agrees beforehand.

    Raises:
        SystemExit: somebody disagrees, or nobody is there to be asked.
    """
    for line in intended:
        typer.echo(line)
    if yes:
        return
    if not sys.stdin.isatty():
        sys.exit("payments: nothing was changed: nobody can be asked here; say --yes if you agree")
    if not typer.confirm(f"Do this{' with LIVE money' if settings.live else ''}?"):
        sys.exit("payments: nothing was changed")
