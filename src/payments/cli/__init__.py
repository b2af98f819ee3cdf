"""The `payments` command."""

from payments.cli.main import main

__all__ = ["main"]
