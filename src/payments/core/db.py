"""PostgreSQL: the declarative base, the engine and the one way to open a transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from sqlalchemy import BigInteger, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

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


def async_url(url: str) -> URL:
    """Accept the plain, the `postgres://` and the asyncpg spelling of an address."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("DATABASE_URL must start with postgresql://")
    return parsed.set(drivername="postgresql+asyncpg")


class Database:
    """A pool of connections to one PostgreSQL, in READ COMMITTED."""

    def __init__(self, url: str, *, pool_size: int = 10, pooler: str = "session") -> None:
        # A transaction-mode pooler gives each transaction another server session, so nothing
        # may be prepared on one; both caches are off and no session settings are sent.
        connect_args: dict[str, Any] = {"timeout": 5}
        if pooler == "transaction":
            connect_args |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
        else:
            connect_args["server_settings"] = {"application_name": "payments", "timezone": "UTC"}
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args=connect_args,
            isolation_level="READ COMMITTED",
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back by any error."""
        async with self.engine.begin() as tx:
            mark = _open.set(True)
            try:
                yield tx
            finally:
                _open.reset(mark)

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
