"""Stripe's events asked for every two seconds: for where it cannot post."""

import asyncio
from typing import Final

import structlog

from payments.sync.apply import Sync
from payments.sync.catchup import catch_up
from payments.sync.process import own_fault
from payments.sync.throttle import Throttle

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 30.0


async def poll(sync: Sync, throttle: Throttle, stop: asyncio.Event) -> None:
    """Catch up every two seconds until `stop` is set; wait longer while Stripe or the database is
    away. The cursor is kept, so nothing is lost between two runs.
    """
    wait = EVERY_SECONDS
    while not stop.is_set():
        try:
            async for _ in catch_up(sync, throttle):
                pass
        except Exception as exc:
            if own_fault(exc):
                raise
            wait = min(wait * 2, PATIENCE_SECONDS)
            log.warning("events cannot be asked for", reason=str(exc), wait=wait)
        else:
            wait = EVERY_SECONDS
        await _rest(stop, wait)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
