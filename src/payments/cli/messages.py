"""`messages list|resend`: what people have not been told, and telling them after all."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from payments.settings import UnsafeSettings, load

if TYPE_CHECKING:
    from payments.core.db import Database

messages = typer.Typer(help="Mails and notifications.", no_args_is_help=True)


@messages.command("list")
def unsent() -> None:
    """Show what waits or was given up, the oldest first."""
    asyncio.run(_list())


@messages.command()
def resend(
    keys: Annotated[list[str] | None, typer.Argument(help="Of dead messages; all if none.")] = None,
) -> None:
    """Send messages that were given up; they keep their Message-ID."""
    found = asyncio.run(_resend(keys or []))
    for key in found:
        typer.echo(f"sent again  {key}")
    if missing := sorted(set(keys or []) - set(found)):
        sys.exit(f"payments messages: not among the dead: {', '.join(missing)}")


@asynccontextmanager
async def _database() -> AsyncIterator["Database"]:
    from payments.core.db import Database

    settings = load()
    if settings.database_url is None:
        raise UnsafeSettings("DATABASE_URL is not set")
    url = settings.database_url.get_secret_value()
    db = Database(url, pool_size=2, pooler=settings.database_pooler)
    try:
        yield db
    finally:
        await db.aclose()


async def _list() -> None:
    from sqlalchemy import select

    from payments.sync.outbox import Outgoing

    waiting = select(Outgoing).where((Outgoing.outcome == "dead") | Outgoing.outcome.is_(None))
    async with _database() as db, db.transaction() as tx:
        rows = (await tx.execute(waiting.order_by(Outgoing.received_at))).all()
    for row in rows:
        tried = f"{row.attempts} attempts" if row.attempts else "no attempt"
        typer.echo(f"{row.outcome or 'pending':8}  {row.id}  {tried}  {row.error or ''}".rstrip())


async def _resend(keys: list[str]) -> list[str]:
    from payments.core import audit
    from payments.sync import queue
    from payments.sync.outbox import Outgoing

    async with _database() as db, db.transaction() as tx:
        revived = await queue.revive(tx, Outgoing, keys)
        for key in revived:
            await audit.record(tx, None, act="message.resent", subject=key)
    return revived
