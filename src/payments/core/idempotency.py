"""`Idempotency-Key`: the same request, sent again, continues what the first one reserved.

The key's row is written in the transaction that reserves, so that either both are there or neither.
Nothing of an answer is kept: a repeated key names its reservation, and the answer is rendered from
that row again, without secrets at rest.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request
from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database
from payments.core.errors import InFlight, Problem
from payments.core.principal import Authenticated

KEPT: Final = timedelta(hours=24)
LEASE: Final = timedelta(seconds=60)


class KeyReused(Problem):
    """This Idempotency-Key was sent with another request."""

    status, code = 422, "idempotency_key_reused"


class IdempotencyKey(Base):
    """A caller's key, the request it stands for, and what that reserved."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    subject: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(slots=True)
class Repeatable:
    """A request that carries a key. `lease` is set once it has claimed the key."""

    principal: str
    key: str
    fingerprint: str
    lease: datetime | None = None

    @property
    def rows(self) -> tuple[ColumnElement[bool], ...]:
        return IdempotencyKey.principal == self.principal, IdempotencyKey.key == self.key


async def _repeatable(
    request: Request,
    who: Authenticated,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="your id of this request: sent again within 24 h, it is carried out once",
        ),
    ] = None,
) -> Repeatable | None:
    if key is None:
        return None
    path = request.scope["route"].path.format(**request.path_params)
    said = [request.method, path, _content(await request.body())]
    return Repeatable(who.user_id, key, hashlib.sha256(orjson.dumps(said)).hexdigest())


def _content(body: bytes) -> str:
    """The body without what JSON leaves open: spaces, and the order of names."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return body.hex()


Idempotent = Annotated[Repeatable | None, Depends(_repeatable)]
"""The request's key, or None; a route that declares it lists `KeyReused` and `InFlight`."""


async def claim(tx: AsyncConnection, given: Repeatable | None, *, now: datetime) -> str | None:
    """Take the key for this request, in the transaction that is to reserve.

    Returns:
        What an earlier request with this key has reserved: continue that. None: reserve, and
        `bind` it.

    Raises:
        KeyReused: the key stands for another request.
        InFlight: the first request is still being carried out.
    """
    if given is None:
        return None
    kept = IdempotencyKey.created_at >= now - KEPT
    await tx.execute(delete(IdempotencyKey).where(*given.rows, ~kept))
    lease = now + LEASE
    fresh = insert(IdempotencyKey).values(
        principal=given.principal, key=given.key, fingerprint=given.fingerprint,
        leased_until=lease, created_at=now,
    )  # fmt: skip
    subject = None
    added = fresh.on_conflict_do_nothing().returning(IdempotencyKey.key)
    while (await tx.execute(added)).first() is None:
        if (row := await _earlier(tx, given)) is not None:  # else it was freed in between
            subject = _continued(row, given, now=now)
            break
    await tx.execute(update(IdempotencyKey).where(*given.rows).values(leased_until=lease))
    given.lease = lease
    return subject


async def _earlier(tx: AsyncConnection, given: Repeatable) -> Row[Any] | None:
    query = select(IdempotencyKey).where(*given.rows).with_for_update()
    return (await tx.execute(query)).first()


def _continued(row: Row[Any], given: Repeatable, *, now: datetime) -> str | None:
    if row.fingerprint != given.fingerprint:
        raise KeyReused("this Idempotency-Key was sent with another request; use a new one")
    if row.leased_until is not None and row.leased_until > now and row.leased_until != given.lease:
        raise InFlight("the first request with this Idempotency-Key still runs", retry_after=2)
    return str(row.subject) if row.subject is not None else None


async def bind(
    tx: AsyncConnection, given: Repeatable | None, subject: str | None, *, done: bool = False
) -> None:
    """Remember, in the same transaction, what the key has reserved; `done` when nothing is left to
    do after its commit.
    """
    if given is not None:
        lease = None if done else given.lease
        values = {"subject": subject, "leased_until": lease}
        await tx.execute(update(IdempotencyKey).where(*given.rows).values(values))


async def forget(db: Database, given: Repeatable | None) -> None:
    """Let the key stand for nothing again: what it has reserved came to nothing."""
    if given is not None:
        async with db.transaction() as tx:
            await bind(tx, given, None)


@asynccontextmanager
async def held(db: Database, given: Repeatable | None) -> AsyncIterator[None]:
    """End the lease when the request ends, however it ends. A key that has reserved nothing is free
    again; one whose process died is so once its lease has run out.
    """
    try:
        yield
    finally:
        if given is not None and given.lease is not None:
            mine = (*given.rows, IdempotencyKey.leased_until == given.lease)
            idle = IdempotencyKey.subject.is_(None)
            async with db.transaction() as tx:
                await tx.execute(delete(IdempotencyKey).where(*mine, idle))
                await tx.execute(update(IdempotencyKey).where(*mine).values(leased_until=None))
