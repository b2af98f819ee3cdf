"""What a command works with. Its own words go to stdout, log lines to stderr."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.context import Context
from payments.settings import Settings


def log_to_stderr(settings: Settings) -> None:
    """A command says itself what went wrong, in one line; who wants more sets LOG_LEVEL."""
    from payments.core import telemetry

    level = settings.log_level if "log_level" in settings.model_fields_set else "critical"
    telemetry.configure(level=level, fmt=settings.log_format, stripe_debug=settings.stripe_debug)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Context]:
    """Open everything for a command that only looks."""
    from payments.context import open_context
    from payments.domains import assemble

    log_to_stderr(settings)
    async with open_context(settings, assemble(settings.payables).registry) as ctx:
        yield ctx


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    """Open everything for a command that writes, stamping a new database with the key's account:
    never another account than the database's.

    Raises:
        WrongAccount: the database mirrors another account or mode.
        Problem: Stripe does not name the account.
    """
    from payments.sync.account import claim, identify

    async with reading(settings) as ctx:
        await claim(ctx.db, await identify(ctx.stripe), livemode=settings.live)
        yield ctx
