"""Alembic's environment: async, one migrator at a time, and it gives way to the service."""

import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.pool import NullPool

from payments import settings
from payments.core.db import engine

LOCK = 7_265_111  # any number, as long as it is the same in every migrator

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def declared() -> MetaData | None:
    """Every table that the code declares; not looked at by a plain upgrade, whose start it would
    slow down.
    """
    if context.config.attributes.get("upgrade"):
        return None
    import payments.app
    import payments.sync.rebuild
    import payments.worker  # noqa: F401 - the three declare the tables of the sync
    from payments.core.db import Base
    from payments.domains import modules

    modules()  # the slices declare theirs
    return Base.metadata


def url() -> str:
    given = context.config.attributes.get("url")
    if given is not None:
        return str(given)
    configured = settings.load().database_url
    if configured is None:
        raise SystemExit("DATABASE_URL is not set")
    return configured.get_secret_value()


def migrate(connection: Connection) -> None:
    connection.execute(text(f"select pg_advisory_lock({LOCK})"))
    # A migration that cannot have its lock soon fails and is tried again; it never queues up in
    # front of the payments.
    connection.execute(text("set lock_timeout = '10s'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=declared(),
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name in (None, "stripe"),
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text(f"select pg_advisory_unlock({LOCK})"))
    connection.commit()


async def main() -> None:
    migrator = engine(url(), poolclass=NullPool)
    async with migrator.connect() as connection:
        await connection.run_sync(migrate)
    await migrator.dispose()


asyncio.run(main())
