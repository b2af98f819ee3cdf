"""PostgreSQL: the declarative base, the engine and the one way to open a transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Final

import asyncpg
from sqlalchemy import BigInteger, MetaData, Row, Select, Text, event, text, true
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry

PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

AWAY: Final = (OSError, TimeoutError, PoolTimeout, DBAPIError)
"""What a transaction raises while the database is away or has no connection to spare."""

FRESH_SECONDS: Final = 1.0

DATA_EXCEPTION: Final = "22"
"""Class of SQLSTATEs that blame a value, not the statement."""

_open: ContextVar[bool] = ContextVar("transaction_open", default=False)


class Base(DeclarativeBase):
    """Tables of ours live in `public`, mirrors of Stripe's objects in `stripe`."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        str: Text,
        int: BigInteger,
        datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB,
    }


def in_transaction() -> bool:
    """Whether the running task holds a database transaction; Stripe is never called in one."""
    return _open.get()


def is_unstorable(exc: BaseException) -> bool:
    """Whether a value was outside of its type's range: a NUL in a text, a year that is none."""
    return isinstance(exc, DBAPIError) and (getattr(exc.orig, "sqlstate", None) or "").startswith(
        DATA_EXCEPTION
    )


def plain_url(url: str) -> str:
    """An address as asyncpg and libpq read it, sslmode and all, from any of its spellings."""
    return "postgresql://" + url.partition("://")[2]


def engine(url: str, *, pooler: str = "session", **options: Any) -> AsyncEngine:
    """An engine in READ COMMITTED whose connections asyncpg opens from the address itself.

    A transaction-mode pooler gives each transaction another server session, so nothing may be
    prepared on one: both caches are off, and no session settings are sent.
    """
    connect: dict[str, Any] = {
        "async_creator_fn": partial(asyncpg.connect, plain_url(url)),
        "timeout": 5,
    }
    if pooler == "transaction":
        connect |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    else:
        named = {} if "application_name=" in url else {"application_name": "payments"}
        connect["server_settings"] = {"timezone": "UTC", **named}
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args=connect,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # they are people's data, and end up in logs
        **options,
    )


class Database:
    """A pool of connections to one PostgreSQL, in READ COMMITTED."""

    def __init__(self, url: str, *, pool_size: int = 10, pooler: str = "session") -> None:
        self.engine = engine(
            url,
            pooler=pooler,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
        )
        event.listen(self.engine.sync_engine, "checkout", self._ensure_alive)
        event.listen(self.engine.sync_engine, "checkin", self._note_use)

    def _ensure_alive(self, connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        """A connection that has rested may have been lost; one just used is not asked again, which
        would cost every transaction a round trip.
        """
        if monotonic() - record.info.get("used_at", 0) < FRESH_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except self.engine.dialect.loaded_dbapi.Error as exc:
            raise DisconnectionError from exc

    def _note_use(self, _: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = monotonic()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back by any error."""
        async with self.engine.begin() as tx:
            mark = _open.set(True)
            try:
                yield tx
            finally:
                _open.reset(mark)

    async def walk(
        self, query: Select[Any], *, by: Any, size: int
    ) -> AsyncIterator[Sequence[Row[Any]]]:
        """Every row of a query in the order of its key `by`, so many at a time, each time in a
        transaction of its own.
        """
        rows: Sequence[Row[Any]] = ()
        ordered = query.order_by(by).limit(size)
        while True:
            after = by > getattr(rows[-1], by.key) if rows else true()
            async with self.transaction() as tx:
                rows = (await tx.execute(ordered.where(after))).all()
            if not rows:
                return
            yield rows

    async def run(self, query: str, *values: Any) -> Any:
        """One statement that is a transaction of its own, with $1, $2 …, past SQLAlchemy: a third
        of the round trips. Return the first column of its first row.
        """
        async with self.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                return await driver.fetchval(query, *values)
            except BaseException:
                await connection.invalidate()  # SQLAlchemy has not seen what happened to it
                raise

    async def check(self) -> None:
        """Fail unless the server answers in the isolation level that every lock here relies on."""
        async with self.engine.connect() as connection:
            level = await connection.scalar(text("show transaction_isolation"))
        if level != "read committed":
            raise RuntimeError(f"PostgreSQL runs in {level!r}; this service needs read committed")

    async def aclose(self) -> None:
        await self.engine.dispose()


def is_outage(exc: BaseException) -> bool:
    """Whether the database is away, restarting, overloaded or asks for another try, rather than the
    statement being wrong.
    """
    if isinstance(exc, DBAPIError):
        cause = exc.orig.__cause__ if exc.orig is not None else None
        return exc.connection_invalidated or isinstance(cause, PASSING)
    return isinstance(exc, OSError | TimeoutError | PoolTimeout)


class Clock:
    """The time that business rules see; tests and test clocks move it."""

    def now(self) -> datetime:
        return datetime.now(UTC)
