"""What one process holds open: settings, database, Stripe, clock, and the sync that joins them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import httpx2
from fastapi import Depends, Request

from payments.core.db import Clock, Database
from payments.settings import Settings, UnsafeSettings
from payments.stripe_api.service import StripeService
from payments.sync import process
from payments.sync.apply import Sync
from payments.sync.calls import CallLog
from payments.sync.ingest import Ingest
from payments.sync.resources import Registry
from payments.sync.secrets import SecretUses


@dataclass(frozen=True)
class Context:
    """Opened once per process, closed at its end."""

    settings: Settings
    db: Database
    stripe: StripeService
    sync: Sync
    ingest: Ingest
    secret_uses: SecretUses
    calls: CallLog
    clock: Clock


def _pool(settings: Settings) -> Database:
    if settings.database_url is None:
        raise UnsafeSettings(
            "DATABASE_URL is not set; `payments dev` brings a PostgreSQL of its own"
        )
    return Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        pooler=settings.database_pooler,
    )


@asynccontextmanager
async def open_context(
    settings: Settings,
    registry: Registry,
    *,
    clock: Clock | None = None,
    network: httpx2.AsyncBaseTransport | None = None,
    database: Database | None = None,
) -> AsyncIterator[Context]:
    """Open everything, and close it in the reverse order.

    Args:
        settings: DATABASE_URL must be set, unless a pool is given.
        registry: what follows Stripe.
        clock: the time that business rules see.
        network: replaces the way to Stripe, in tests.
        database: a pool that the caller keeps open, instead of one of our own.
    """
    clock = clock or Clock()

    async def apply_event(event: dict[str, Any]) -> None:
        await process.process(sync, event)

    async with AsyncExitStack() as stack:
        db = database or _pool(settings)
        if database is None:
            stack.push_async_callback(db.aclose)
        calls = CallLog(db)
        stack.push_async_callback(calls.aclose)
        stripe = StripeService(settings, process=apply_event, network=network, note=calls.note)
        stack.push_async_callback(stripe.aclose)
        sync = Sync(db, stripe, registry, clock, settings.live)
        uses = SecretUses(db)
        stack.push_async_callback(uses.aclose)
        yield Context(settings, db, stripe, sync, Ingest(db), uses, calls, clock)


async def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Ctx = Annotated[Context, Depends(context)]
