"""Alembic's environment: async, one migrator at a time, and it gives way to the service."""

import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import payments.app  # noqa: F401 - declares the tables of the sync
from payments import settings
from payments.core.db import Base, async_url
from payments.domains import modules
from payments.sync.resources import SCHEMA

modules()  # the slices declare the other tables when they are imported

LOCK = 7_265_111  # any number, as long as it is the same in every migrator

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def url() -> str:
    given = context.config.attributes.get("url")
    if given is not None:
        return str(given)
    configured = settings.load().database_url
    if configured is None:
        raise SystemExit("DATABASE_URL is not set")
    return configured.get_secret_value()


def migrate(connection: Connection) -> None:
    # A migration that cannot have its lock soon fails and is tried again; it never queues up in
    # front of the payments.
    connection.execute(text("set lock_timeout = '10s'"))
    connection.execute(text(f"select pg_advisory_lock({LOCK})"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name in (None, SCHEMA),
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text(f"select pg_advisory_unlock({LOCK})"))
    connection.commit()


async def main() -> None:
    engine = create_async_engine(
        async_url(url()), poolclass=NullPool, connect_args={"statement_cache_size": 0}
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
