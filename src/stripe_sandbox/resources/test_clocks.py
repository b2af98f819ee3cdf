"""Test clocks: a customer's time stands still until it is moved on."""

import logging

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.table import Row
from stripe_sandbox.engine.work import CLOCK, CLOCK_JOB, JOB, Work

log = logging.getLogger("stripe_sandbox.clocks")

test_clocks = Resource(CLOCK, id_prefix="clock", label="test clock", param="test_clock")

_MONTH = 31 * 24 * 3600
_FURTHEST = 24 * _MONTH
_ADVANCE = "test_clock.advance"


@test_clocks.on("post", "/v1/test_helpers/test_clocks", takes="frozen_time name")
def create(work: Work, params: Body) -> Body:
    clock = work.create(
        CLOCK,
        **given(params, "frozen_time name"),
        deletes_after=work.now + _MONTH,
        status="ready",
        status_details={},
    )
    work.emit("test_helpers.test_clock.created", clock)
    return clock


@test_clocks.acts("/v1/test_helpers/test_clocks/{test_clock}/advance", takes="frozen_time")
def advance(work: Work, clock: Body, params: Body) -> None:
    """Begin to move on; ready again when all that falls due on the way has happened."""
    target: int = params["frozen_time"]
    if clock["status"] != "ready":
        raise refused("This test clock is already advancing. Wait until its status is `ready`.")
    if target <= clock["frozen_time"]:
        text = "The new time must be after the time of the test clock."
        raise invalid(text, param="frozen_time")
    if target > clock["frozen_time"] + _FURTHEST:
        text = "A test clock moves on by two years at the most; do it in steps."
        raise invalid(text, param="frozen_time")
    work.announce(
        "test_helpers.test_clock.advancing",
        clock,
        status="advancing",
        status_details={"advancing": {"target_frozen_time": target}},
    )
    work.settle_next(_ADVANCE, clock)


@test_clocks.job(_ADVANCE)
def arrive(work: Work, clock: Body) -> None:
    target = clock["status_details"]["advancing"]["target_frozen_time"]
    while row := _next(work, clock, target):
        work.unschedule(row["job"], {"id": row["subject"]})
        if not row["settles"]:
            work.now = max(work.now, int(row["due"]))
            work.change(clock, frozen_time=work.now)
        _run(work, row)
    work.now = target
    ready: Body = {"status": "ready", "status_details": {}}
    work.announce("test_helpers.test_clock.ready", clock, frozen_time=target, **ready)


@test_clocks.on("delete", "/v1/test_helpers/test_clocks/{test_clock}")
def delete(work: Work, test_clock: str) -> Body:
    """The customers of a clock go with it."""
    clock = work.find(CLOCK, test_clock)
    for customer in list(work.every("customer", test_clock=test_clock)):
        work.emit("customer.deleted", customer)
        work.delete(customer, leave_trace=True)
    for row in _waiting(work, clock):
        work.unschedule(row["job"], {"id": row["subject"]})
    work.emit("test_helpers.test_clock.deleted", clock)
    return work.delete(clock, leave_trace=False)


def _next(work: Work, clock: Body, until: int) -> Row | None:
    """What settles by itself comes first, then what falls due, in the order of time."""
    due = [row for row in _waiting(work, clock) if row["settles"] or row["due"] <= until]
    return min(due, key=lambda row: (not row["settles"], row["due"]), default=None)


def _waiting(work: Work, clock: Body) -> list[Row]:
    tables = (work.state.table(kind) for kind in (JOB, CLOCK_JOB))
    return [row for table in tables for row in table.scan(("clock", [clock["id"]]))]


def _run(work: Work, row: Row) -> None:
    try:
        with work.state.savepoint():
            work.catalogue.jobs[row["job"]](work, row["subject"])
    except Exception:
        log.exception("%s of %s failed and is dropped", row["job"], row["subject"])
