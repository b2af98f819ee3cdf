"""Which webhook secret verified a delivery last, and when: what a rotation has to know."""

import asyncio
from datetime import datetime
from time import monotonic
from typing import Final

import structlog
from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from payments.core.db import Base, Database
from payments.core.telemetry import SECRET_USED

log = structlog.get_logger(__name__)

WRITE_EVERY_SECONDS: Final = 60


class WebhookSecret(Base):
    """A secret, by its fingerprint."""

    __tablename__ = "webhook_secrets"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    used_at: Mapped[datetime]


class SecretUses:
    """Notes the secrets in use; a database row at most once a minute for each, beside the delivery
    and never in its way.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._used: dict[str, Gauge] = {}
        self._written: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, fingerprint: str) -> None:
        """A delivery has just been verified with this secret."""
        if (used := self._used.get(fingerprint)) is None:
            used = self._used[fingerprint] = SECRET_USED.labels(secret=fingerprint)
        used.set_to_current_time()
        now = monotonic()
        if now - self._written.get(fingerprint, -WRITE_EVERY_SECONDS) < WRITE_EVERY_SECONDS:
            return
        self._written[fingerprint] = now
        task = asyncio.create_task(self._write(fingerprint))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def aclose(self) -> None:
        """Wait for what is still being written."""
        await asyncio.gather(*self._writing)

    async def _write(self, fingerprint: str) -> None:
        row = insert(WebhookSecret).values(fingerprint=fingerprint, used_at=func.now())
        try:
            async with self._db.transaction() as tx:
                await tx.execute(
                    row.on_conflict_do_update(
                        index_elements=["fingerprint"], set_={"used_at": func.now()}
                    )
                )
        except Exception as exc:  # noqa: BLE001 - a note is never worth a delivery; the next one tries again
            del self._written[fingerprint]
            log.warning("the use of a webhook secret was not noted", reason=type(exc).__name__)


async def last_uses(db: Database) -> dict[str, datetime]:
    """When each secret verified a delivery last, by fingerprint."""
    async with db.transaction() as tx:
        rows = await tx.execute(select(WebhookSecret.fingerprint, WebhookSecret.used_at))
        return {row.fingerprint: row.used_at for row in rows}
