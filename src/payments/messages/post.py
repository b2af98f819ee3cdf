"""The post: takes messages out of the outbox, tells each to whom it concerns, and says so."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from payments.core.db import is_outage
from payments.core.errors import Problem
from payments.messages import asking
from payments.messages.letters import Letters
from payments.messages.sinks import Log, Sink, Unreachable
from payments.settings import Settings, UnsafeSettings, listed
from payments.sync import outbox
from payments.sync.apply import Sync
from payments.sync.outbox import Claimed

log = structlog.get_logger(__name__)

AT_ONCE: Final = 5
PATIENCE_SECONDS: Final = 45
"""For one message; less than its lease, so that no other worker sends it meanwhile."""

LOG: Final = Log()


@dataclass(frozen=True)
class Post:
    """How this process tells people.

    Attributes:
        sinks: beside the log, which hears everything.
        wanted: the templates that go to those sinks.
        since: what was caused before this is told to nobody; None as in `outbox.claim`.
    """

    sync: Sync
    sinks: Sequence[Sink]
    wanted: frozenset[str]
    since: datetime | None


def open_post(settings: Settings, sync: Sync) -> Post:
    """The log, and what the settings name.

    Raises:
        UnsafeSettings: APPRISE_URLS is set, its library is not installed.
    """
    letters = Letters(settings)
    sinks: list[Sink] = []
    if settings.smtp_url is not None and settings.mail_from is not None:
        from payments.messages.mail import Mail

        url = settings.smtp_url.get_secret_value()
        admins = settings.admins
        sinks.append(Mail(url, sender=settings.mail_from, admins=admins, letters=letters))
    if settings.services:
        try:
            from payments.messages.services import Services
        except ModuleNotFoundError as exc:
            raise UnsafeSettings("APPRISE_URLS needs `pip install 'payments[notify]'`") from exc
        sinks.append(Services(settings.services, letters=letters))
    wanted = frozenset(listed(settings.messages))
    return Post(sync, sinks, wanted, settings.effects_since)


async def drain(post: Post) -> int:
    """Send a few due messages; return how many were looked at."""
    async with post.sync.db.transaction() as tx:
        if await post.sync.switches.paused(tx, "messages"):
            return 0
        claimed = await outbox.claim(tx, limit=AT_ONCE, since=post.since)
    async with asyncio.TaskGroup() as group:
        for message in claimed:
            group.create_task(_send(post, message))
    return len(claimed)


async def _send(post: Post, message: Claimed) -> None:
    """Tell everybody who has not been told. Killed between a sending and its commit, the next
    worker sends that again, with the same Message-ID.
    """
    told = set(message.delivered)
    fault = None if message.stale else await _tell(post, message, told)
    try:
        async with post.sync.db.transaction() as tx:
            await outbox.note(tx, message, told)
            if fault is None:
                await outbox.finish(tx, message, _outcome(message, told))
            else:
                own = not isinstance(fault, Unreachable)
                await outbox.postpone(tx, message, fault, own_fault=own)
    except Exception as exc:
        if not is_outage(exc):
            raise
        # Without a database nothing can be written down; the lease ends by itself.
        log.warning("the database is away", reason=type(exc).__name__)
        await asyncio.sleep(0.5)


async def _tell(post: Post, message: Claimed, told: set[str]) -> Exception | None:
    """Send to all who are left and add them to `told`; return what went wrong, if anything did.
    What is not true any more goes to nobody.
    """
    faults: list[Exception] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await asking.current(post.sync.stripe, message)
            if said is not None:
                await _deliver(post, said, told, faults)
    except TimeoutError:
        faults.append(Unreachable(f"not done after {PATIENCE_SECONDS} s"))
    except (Problem, Unreachable) as exc:
        faults.append(exc)
    away = (fault for fault in faults if isinstance(fault, Unreachable))
    return next(away, faults[0] if faults else None)


async def _deliver(post: Post, said: Claimed, told: set[str], faults: list[Exception]) -> None:
    """One address that fails keeps nothing from the others."""
    for sink, address in _left(post, said):
        try:
            await sink.send(said, address)
            told.add(_name(sink, address))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is this delivery's story
            faults.append(exc)


def _left(post: Post, message: Claimed) -> Iterator[tuple[Sink, str]]:
    further = post.sinks if message.template in post.wanted else ()
    for sink in (LOG, *further):
        for address in sink.addresses(message):
            if _name(sink, address) not in message.delivered:
                yield sink, address


def _name(sink: Sink, address: str) -> str:
    return f"{sink.name}:{address}"


def _outcome(message: Claimed, told: set[str]) -> str:
    if message.stale or not told:
        return "skipped"
    return "logged" if told <= {_name(LOG, "")} else "sent"
