"""`token`: a JWT for trying things out."""

import sys
from datetime import timedelta
from typing import Annotated, Literal

import typer

from payments.settings import load


def token(
    user_id: Annotated[str, typer.Argument(help="The user it speaks for.")],
    role: Annotated[Literal["user", "service", "admin"], typer.Option()] = "user",
    email: Annotated[str | None, typer.Option()] = None,
    hours: Annotated[int, typer.Option(min=1, max=24 * 365)] = 1,
) -> None:
    """Print a token signed with SECRET_KEY. In production your provider issues them."""
    from payments.domains.login import issue

    settings = load()
    if settings.environment == "production":
        sys.exit("payments token: production tokens come from your identity provider")
    typer.echo(
        issue(settings, user_id=user_id, email=email, role=role, lifetime=timedelta(hours=hours))
    )
