"""Saying what will be done, and asking before it is."""

import sys
from collections.abc import Sequence

import typer

from payments.settings import Settings


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
