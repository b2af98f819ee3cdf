"""What this service asked of Stripe, try by try, with Stripe's request ids: written beside the
calls and never in their way.

Kept are all writes, and those reads that name an object; sweeps over lists and the like are left to
the metrics. A line is written after its call, so a crash may lose the last ones. Nothing rests on
them: a write begins with a row of ours, and whoever goes on from there sends the same key and gets
a replay that names the first request.
"""

import asyncio
from datetime import datetime
from time import monotonic
from typing import Any, Final

import orjson
import structlog
from asgi_correlation_id import correlation_id
from sqlalchemy import Identity, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database, is_outage
from payments.stripe_api.exchanges import Exchange

log = structlog.get_logger(__name__)

GROUP: Final = 500
WAITING: Final = 5000


class StripeCall(Base):
    """One try of one request. `object_id` and `payment_intent` are Stripe's ids of what it is
    about, `reservation` is the row of ours that its key derives from; `status` is null where there
    was no answer; of a replayed answer `original_request_id` names the first.
    """

    __tablename__ = "stripe_calls"
    __table_args__ = (
        Index("ix_stripe_calls_at", "at"),
        *(
            Index(f"ix_stripe_calls_{name}", name, postgresql_where=text(f"{name} is not null"))
            for name in ("object_id", "payment_intent", "reservation")
        ),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    method: Mapped[str]
    path: Mapped[str]
    object_id: Mapped[str | None]
    payment_intent: Mapped[str | None]
    reservation: Mapped[str | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    error_code: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    replayed: Mapped[bool]
    stripe_request_id: Mapped[str | None]
    original_request_id: Mapped[str | None]
    milliseconds: Mapped[int] = mapped_column(Integer)
    request_id: Mapped[str | None]


_COLUMNS: Final = {
    "method": "text", "path": "text", "object_id": "text", "payment_intent": "text",
    "reservation": "text", "status": "smallint", "error_code": "text", "idempotency_key": "text",
    "replayed": "boolean", "stripe_request_id": "text", "original_request_id": "text",
    "milliseconds": "int", "request_id": "text",
}  # fmt: skip

# The database dates the calls, as it dates events and acts, whatever this machine's clock says.
_WRITE: Final = text(
    f"""
    insert into stripe_calls (at, {", ".join(_COLUMNS)})
    select clock_timestamp() - make_interval(secs => c.age), {", ".join(f"c.{n}" for n in _COLUMNS)}
    from jsonb_to_recordset(cast(:lines as jsonb))
         as c(age float, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
    """  # noqa: S608 - column names from the table above, values are bound
)


class CallLog:
    """Collects calls, and writes those that have come together in one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[dict[str, Any]] = []
        self._writing: asyncio.Task[None] | None = None

    def note(self, exchange: Exchange) -> None:
        """A try has just ended."""
        object_id, payment_intent = exchange.object_id, exchange.payment_intent
        if not (exchange.writes or object_id or payment_intent):
            return
        if len(self._waiting) >= WAITING:
            log.warning("a call to Stripe was not noted: too many wait", path=exchange.path)
            return
        self._waiting.append(
            {
                "began": exchange.began,
                "method": exchange.method,
                "path": exchange.path,
                "object_id": object_id,
                "payment_intent": payment_intent,
                "reservation": exchange.reservation,
                "status": exchange.status,
                "error_code": exchange.error_code,
                "idempotency_key": exchange.key,
                "replayed": bool(exchange.header("Idempotent-Replayed")),
                "stripe_request_id": exchange.header("Request-Id"),
                "original_request_id": exchange.header("Original-Request"),
                "milliseconds": round(exchange.seconds * 1000),
                "request_id": correlation_id.get(),
            }
        )
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._drain())

    async def written(self) -> None:
        """Wait until what has been noted can be read; while the database is away it cannot."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def aclose(self) -> None:
        """Write what is left."""
        await self.written()
        await self._drain()

    async def _drain(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            try:
                await self._write(group)
            except Exception as exc:  # noqa: BLE001 - a line is never worth a call
                log.warning("calls to Stripe were not noted", reason=type(exc).__name__)
                if is_outage(exc):  # the next call tries again
                    self._waiting = group + self._waiting
                    return

    async def _write(self, group: list[dict[str, Any]]) -> None:
        now = monotonic()
        lines = [line | {"age": now - line["began"]} for line in group]
        async with self._db.transaction() as tx:
            await tx.execute(_WRITE, {"lines": orjson.dumps(lines).decode()})
