"""What a command that writes to Stripe works with: never another account than the database's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payments.context import Context
from payments.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Context]:
    """Open everything, stamping a new database with the key's account.

    Raises:
        WrongAccount: the database mirrors another account or mode.
        Problem: Stripe does not name the account.
    """
    from payments.context import open_context
    from payments.domains import assemble
    from payments.sync.account import claim, identify

    async with open_context(settings, assemble(settings.payables).registry) as ctx:
        await claim(ctx.db, await identify(ctx.stripe), livemode=settings.live)
        yield ctx
