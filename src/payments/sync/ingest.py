"""Group commit on arrival: concurrent deliveries share one INSERT and one fsync."""

import asyncio
from typing import Final

from payments.core.db import Database
from payments.core.errors import Unavailable
from payments.sync import inbox
from payments.sync.sorting import Row

GROUP: Final = 500
WAITING: Final = 5000
HELD_BYTES: Final = 64 * 1024 * 1024
"""What bodies that are not stored yet may hold of the memory."""


class Ingest:
    """Stores deliveries; `put` returns once its row is durable."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None
        self._held = 0

    async def put(self, row: Row) -> None:
        """Wait until the row is committed, with whatever else has arrived meanwhile.

        Raises:
            Unavailable: it cannot be stored now, or too much is waiting; Stripe tries again.
        """
        if len(self._waiting) >= WAITING or self._held >= HELD_BYTES:
            raise Unavailable("too many deliveries are waiting", retry_after=5)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._drain())
        self._held += len(row.body)
        try:
            await done
        finally:
            self._held -= len(row.body)

    async def _drain(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            try:
                await self._store([row for row, _ in group])
            except Exception:  # noqa: BLE001 - whatever it is, each row gets its own try and its own answer
                for row, done in group:
                    await self._alone(row, done)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)

    async def _alone(self, row: Row, done: asyncio.Future[None]) -> None:
        failure: Unavailable | None = None
        try:
            await self._store([row])
        except Exception as exc:  # noqa: BLE001 - Stripe gets a 503 and tries again, whatever it was
            failure = Unavailable("the event could not be stored", retry_after=5)
            failure.__cause__ = exc
        if done.done():
            return
        if failure:
            done.set_exception(failure)
        else:
            done.set_result(None)

    async def _store(self, rows: list[Row]) -> None:
        await inbox.store_now(self._db, rows)
