"""Rebuild: all that Stripe lists goes through the one writer again, then what it did not list is
looked up. No table is emptied, and what is ours only follows from what is mirrored.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, delete, func, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from payments.core import audit
from payments.core.db import Base, is_outage
from payments.core.errors import StripeBusy
from payments.core.telemetry import alert
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync import inbox
from payments.sync.apply import Observation, Sync, apply
from payments.sync.catchup import KEPT as LISTED_FOR
from payments.sync.dry_run import rehearse_each
from payments.sync.observe import look, pages
from payments.sync.rehearse import Difference
from payments.sync.resources import TICKET, Resource
from payments.sync.throttle import Throttle

PAGE: Final = 100


class RebuildRow(Base):
    """How far a rebuild has come with one kind of object; gone when the rebuild is over."""

    __tablename__ = "rebuilds"

    resource: Mapped[str] = mapped_column(primary_key=True)
    ticket: Mapped[int]
    listing: Mapped[int] = mapped_column(Integer, server_default="0")
    after: Mapped[str | None]
    listed: Mapped[int] = mapped_column(server_default="0")
    done: Mapped[bool] = mapped_column(server_default="false")
    begun_at: Mapped[datetime]


@dataclass(slots=True)
class Course:
    """How a rebuild goes with one kind of object.

    Attributes:
        resource: the kind.
        ticket: taken before the first page; a row with an older one was not listed.
        listing: which of the resource's lists is being read.
        after: the id that was listed last.
        listed: how many objects were, those of an earlier attempt among them.
        done: there is nothing left to do, nor to be told again.
        found: how many were not listed, and are there though.
        gone: how many of our rows Stripe has no more.
        missing: ids that Stripe does not know, of a kind that cannot be deleted.
        failed: ids that cannot be applied.
        refused: ids of rows that are further in their life than Stripe says, which cannot be.
    """

    resource: Resource
    ticket: int = 0
    listing: int = 0
    after: str | None = None
    listed: int = 0
    done: bool = False
    found: int = 0
    gone: int = 0
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every row is now what Stripe has."""
        return not (self.missing or self.failed or self.refused)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What one page would change.

    Attributes:
        listed: how many objects it has.
        known: how many of them live in the mirror already.
        differences: rows that would change.
        failures: what cannot be applied and why, by id.
    """

    listed: int
    known: int
    differences: Sequence[Difference]
    failures: dict[str, str]


KEPT: Final = ("ticket", "listing", "after", "listed", "done")
"""What a course that is taken up again knows of itself."""


class TooManyGone(Exception):
    """So much would be tombstoned that a person has to agree."""


async def begin(sync: Sync, resources: Sequence[Resource], *, restart: bool) -> list[Course]:
    """Begin, or go on where an earlier rebuild of these kinds was cut short, unless `restart`. One
    so old that Stripe no longer lists the events since then is begun again: it would never see what
    was made or changed meanwhile.
    """
    names = [resource.name for resource in resources]
    now = sync.clock.now()
    rows = [{"resource": name, "ticket": TICKET.next_value(), "begun_at": now} for name in names]
    async with sync.db.transaction() as tx:
        stale = true() if restart else RebuildRow.begun_at < now - LISTED_FOR
        await tx.execute(delete(RebuildRow).where(RebuildRow.resource.in_(names), stale))
        await tx.execute(insert(RebuildRow).values(rows).on_conflict_do_nothing())
        kept = select(RebuildRow.resource, *(getattr(RebuildRow, name) for name in KEPT))
        found = {row.resource: row._asdict() for row in await tx.execute(kept)}
    return [Course(**{**found[of.name], "resource": of}) for of in resources]


async def end(sync: Sync, courses: Sequence[Course]) -> None:
    """Forget how far it had come: the next rebuild is a new one."""
    names = [course.resource.name for course in courses]
    async with sync.db.transaction() as tx:
        await tx.execute(delete(RebuildRow).where(RebuildRow.resource.in_(names)))


async def count(sync: Sync, resource: Resource) -> int:
    """How many objects of a kind live in the mirror."""
    living = select(func.count()).where(~resource.table.deleted)
    async with sync.db.transaction() as tx:
        return int((await tx.execute(living)).scalar_one())


async def rebuild(
    sync: Sync, throttle: Throttle, course: Course, *, tombstones: int = 0
) -> AsyncIterator[int]:
    """Write everything of one kind anew. It may be cut short anywhere, and called again.

    Args:
        sync: what to work with.
        throttle: how quickly Stripe may be asked.
        course: from `begin`.
        tombstones: how many rows may be tombstoned, if that is 1 % of them or more.

    Yields:
        How many objects were seen to.

    Raises:
        TooManyGone: Stripe has no more that many; everything else is done.
        Problem: Stripe could not be asked.
    """
    if course.done:
        return
    async for page in _listed(sync, throttle, course):
        await _write(sync, course, page)
        await _save(sync, course)
        yield len(page)
    async for number in _look_up_the_rest(sync, throttle, course, tombstones):
        yield number
    course.done = course.sound
    await _save(sync, course, over=True)


async def preview(sync: Sync, throttle: Throttle, resource: Resource) -> AsyncIterator[Foreseen]:
    """What writing everything of one kind anew would change, page by page; nothing is changed."""
    table = resource.table
    async for page in _listed(sync, throttle, Course(resource)):
        known = select(func.count()).where(table.id.in_([o.id for o in page]), ~table.deleted)
        async with sync.db.transaction() as tx:
            living = int((await tx.execute(known)).scalar_one())
        failures: dict[str, str] = {}
        differences, _ = await rehearse_each(sync, page, failures)
        yield Foreseen(len(page), living, differences, failures)


async def _listed(
    sync: Sync, throttle: Throttle, course: Course
) -> AsyncIterator[list[Observation]]:
    """The rest of the resource's lists; the course has moved on with each page."""
    resource = course.resource
    while course.listing < len(resource.listings):
        after = {"starting_after": course.after} if course.after else {}
        listing: dict[str, Any] = {"limit": PAGE, **resource.listings[course.listing], **after}
        try:
            await throttle.turn()
            async for page in pages(sync, resource, on_busy=throttle.slow_down, **listing):
                if page:
                    course.listed, course.after = course.listed + len(page), page[-1].id
                    yield page
                await throttle.turn()
        except StripeObjectMissing:
            if course.after is None:
                raise
            course.after = None  # it was deleted meanwhile, and its place in the list is lost
        else:
            course.listing, course.after = course.listing + 1, None


async def _write(sync: Sync, course: Course, seen: Sequence[Observation]) -> None:
    """Apply objects together; if that fails, one by one. What fails alone is left to the inbox: it
    is tried again there, and told when it is dead.
    """
    try:
        await apply(sync, seen)
    except Exception as exc:
        if is_outage(exc):
            raise
        if len(seen) > 1:
            for one in seen:
                await _write(sync, course, [one])
            return
        course.failed += [one.id for one in seen]
        async with sync.db.transaction() as tx:
            await inbox.request_fetches(tx, [(one.resource, one.id) for one in seen])


async def _look_up_the_rest(
    sync: Sync, throttle: Throttle, course: Course, tombstones: int
) -> AsyncIterator[int]:
    """Fetch every row that was not listed, and tombstone those that are gone, if so many may be."""
    gone: list[Observation] = []
    failed = set(course.failed)
    limit = max(tombstones, (await count(sync, course.resource) - 1) // 100)
    async for ids in _unlisted(sync, course):
        for id in (id for id in ids if id not in failed):
            seen = await _look_up(sync, throttle, course, id)
            if seen is not None and seen.gone and len(gone) < limit:
                gone.append(seen)
        yield len(ids)
    _tell_missing(course)
    if course.gone > limit:
        raise TooManyGone(
            f"{course.gone} of {await count(sync, course.resource)} rows of {course.resource.name} "
            f"are gone at Stripe: if that is right, agree with --yes-tombstone {course.gone}"
        )
    for start in range(0, len(gone), PAGE):
        await apply(sync, gone[start : start + PAGE])
    told = {*course.missing, *course.failed}
    async for ids in _unlisted(sync, course):
        course.refused += [id for id in ids if id not in told]


async def _unlisted(sync: Sync, course: Course) -> AsyncIterator[list[str]]:
    """Ids of the rows that live here and were not listed."""
    table = course.resource.table
    query = select(table.id).where(~table.deleted, table.ticket < course.ticket)
    async for rows in sync.db.walk(query, by=table.id, size=PAGE):
        yield [row.id for row in rows]


async def _look_up(sync: Sync, throttle: Throttle, course: Course, id: str) -> Observation | None:
    """What Stripe says of one object, already written if it is there; None if Stripe does not know
    it although its kind cannot be deleted.
    """
    while True:
        await throttle.turn()
        try:
            seen = await look(sync, course.resource, id)
        except StripeBusy:
            throttle.slow_down()
        except StripeObjectMissing:
            course.missing.append(id)
            return None
        else:
            break
    if seen.gone:
        course.gone += 1
    else:
        course.found += 1
        await _write(sync, course, [seen])
    return seen


def _tell_missing(course: Course) -> None:
    if course.missing:
        alert(
            "objects_missing",
            "Stripe does not know objects of a kind that cannot be deleted: wrong key?",
            resource=course.resource.name,
            number=len(course.missing),
            ids=course.missing[:PAGE],
        )


async def _save(sync: Sync, course: Course, *, over: bool = False) -> None:
    row = update(RebuildRow).where(RebuildRow.resource == course.resource.name)
    values = {name: getattr(course, name) for name in KEPT}
    async with sync.db.transaction() as tx:
        await tx.execute(row.values(values))
        if over:
            figures = {name: getattr(course, name) for name in ("listed", "found", "gone")}
            subject = course.resource.relation
            await audit.record(tx, None, act="mirror.rebuilt", subject=subject, **figures)
