"""What a replay would change: its events rehearsed, and what it would fetch fetched."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from payments.core.db import is_outage
from payments.sync import queue
from payments.sync.apply import Observation, Sync
from payments.sync.observe import look
from payments.sync.process import own_fault
from payments.sync.rehearse import Difference, Wanted, rehearse
from payments.sync.sorting import FETCH, PAYLOAD, Row
from payments.sync.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Failure:
    """An object that cannot be applied still, and why."""

    object_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a dry run found.

    Attributes:
        differences: rows that would change.
        failures: what would not be applied.
        untried: tasks of our own: they write to Stripe, so no dry run can tell what they would do.
    """

    differences: Sequence[Difference]
    failures: Sequence[Failure]
    untried: Sequence[str]


async def rehearse_events(sync: Sync, throttle: Throttle, due: Sequence[Row]) -> Rehearsal:
    """Rehearse events, then once more with the objects that this first try would have fetched.

    Args:
        sync: what to work with.
        throttle: how quickly Stripe may be asked.
        due: the events, as they are sorted today.

    Raises:
        Problem: Stripe could not be asked now.
    """
    failures: dict[str, str] = {}
    tasks = [row.id for row in due if row.type == "task"]
    events = [row for row in due if row.type != "task"]
    seen = [_payload(sync, row) for row in events if row.lane == PAYLOAD]
    taps: dict[tuple[str, str], bool] = {}
    for row in events:
        if row.lane == FETCH:
            taps[_target(row)] = taps.get(_target(row), False) or row.type.endswith(".deleted")
    seen += await _looks(sync, throttle, taps, failures)
    differences, wanted = await rehearse_each(sync, seen, failures)
    if doubtful := dict.fromkeys(wanted - taps.keys(), False):
        seen += await _looks(sync, throttle, doubtful, failures)
        differences, _ = await rehearse_each(sync, seen, failures)
    return Rehearsal(differences, [Failure(*found) for found in failures.items()], tasks)


def _payload(sync: Sync, row: Row) -> Observation:
    assert row.resource is not None
    object = orjson.loads(row.body)["data"]["object"]
    return Observation(sync.registry.by_name[row.resource], object, None)


def _target(row: Row) -> tuple[str, str]:
    return str(row.resource), str(row.object_id)


async def _looks(
    sync: Sync,
    throttle: Throttle,
    wanted: Mapping[tuple[str, str], bool],
    failures: dict[str, str],
) -> list[Observation]:
    """Fetch objects, those that an event said are gone among them; add to `failures` what Stripe
    does not have.
    """

    async def one(name: str, id: str, *, gone: bool) -> Observation:
        await throttle.turn()
        return await look(sync, sync.registry.by_name[name], id, gone=gone)

    found: list[Observation] = []
    asked = [one(name, id, gone=gone) for (name, id), gone in wanted.items()]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for (_, id), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Observation):
            found.append(answer)
        elif isinstance(answer, Exception) and own_fault(answer):
            failures[id] = queue.reason(answer)
        else:
            raise answer
    return found


async def rehearse_each(
    sync: Sync, seen: Sequence[Observation], failures: dict[str, str]
) -> tuple[list[Difference], Wanted]:
    """Rehearse all together; if that fails, without those that fail alone: `failures` says why."""
    try:
        return await rehearse(sync, seen)
    except Exception as exc:
        if is_outage(exc):
            raise
    sound = []
    for observation in seen:
        try:
            await rehearse(sync, [observation])
            sound.append(observation)
        except Exception as exc:
            if is_outage(exc):
                raise
            failures[observation.id] = queue.reason(exc)
    return await rehearse(sync, sound)
