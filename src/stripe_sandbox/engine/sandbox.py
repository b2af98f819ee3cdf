"""One offline Stripe: its state, its clockwork and its couriers, within one event loop."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from stripe_sandbox.config import CONFIGURED_ENDPOINT, Config
from stripe_sandbox.engine.alarm import Alarm
from stripe_sandbox.engine.chaos import Story
from stripe_sandbox.engine.faults import Faults
from stripe_sandbox.engine.idempotency import Keys
from stripe_sandbox.engine.permissions import Permissions
from stripe_sandbox.engine.registry import Catalogue, catalogue
from stripe_sandbox.engine.request_log import request_log
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.table import Row
from stripe_sandbox.engine.webhooks import Courier
from stripe_sandbox.engine.work import JOB, NOTE, Origin, Work

log = logging.getLogger("stripe_sandbox")

BY_ITSELF = Origin()


class Sandbox:
    """Opens with its first use; close it to release the state file."""

    def __init__(self, config: Config, *, http: httpx2.AsyncClient | None = None) -> None:
        self.config = config
        self.catalogue: Catalogue = catalogue()
        self.faults = Faults()
        self.story = Story(config.chaos)
        self.keys = Keys()
        self.permissions = Permissions()
        self.courier = Courier(state=self._open, config=config, http=http)
        self.requests = request_log()
        self._opened: State | None = None
        self._alarm = Alarm(self._run_due)

    @property
    def state(self) -> State:
        return self._open()

    @property
    def webhook_secret(self) -> str | None:
        """What the configured endpoint's events are signed with."""
        if self.config.webhook_url is None:
            return None
        note = self.state.get(NOTE, CONFIGURED_ENDPOINT) or {}
        return note.get("secret")

    def start(self) -> None:
        """Take up what was left: due deliveries, jobs, the configured endpoint."""
        self._open()
        self._wake()

    @contextmanager
    def work(self, origin: Origin = BY_ITSELF) -> Iterator[Work]:
        """One transaction; what it scheduled and announced starts when it is committed."""
        state = self._open()
        try:
            with state.transaction():
                yield Work(
                    state=state,
                    config=self.config,
                    catalogue=self.catalogue,
                    story=self.story,
                    origin=origin,
                )
        finally:
            self._wake()

    def settle(self) -> int:
        """Settle at once all that settles later, and what follows from it."""
        settled = 0
        while waiting := list(self.state.table(JOB).scan(("settles", [True]), oldest_first=True)):
            for row in waiting:
                self._run(row)
            settled += len(waiting)
        return settled

    def reset(self) -> None:
        """Empty everything; only the configured endpoint keeps its secret."""
        secret = self.webhook_secret
        self.state.clear()
        self.requests.clear()
        self.courier.attempts.clear()
        self.faults.clear()
        self.permissions.clear()
        self.story = Story(self.config.chaos)
        with self.work() as work:
            if secret:
                work.remember(CONFIGURED_ENDPOINT, secret=secret)
            self._set_up(work)

    async def aclose(self) -> None:
        self._alarm.clear()
        await self.courier.aclose()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _open(self) -> State:
        if self._opened is None:
            self._opened = State(self.config.state, fresh=self.config.fresh)
            with self.work() as work:
                self.keys.forget_old(work.state)
                self._set_up(work)
        return self._opened

    def _set_up(self, work: Work) -> None:
        for set_up in self.catalogue.openings:
            set_up(work)

    def _wake(self) -> None:
        self.courier.wake()
        self._alarm.set(self._open().agenda(JOB).next)

    def _run_due(self) -> None:
        for key in list(self.state.agenda(JOB).take(time.time())):
            if row := self.state.get(JOB, key):
                self._run(row)
        self._wake()  # the loop's clock may ring a moment before the time of day has come

    def _run(self, row: Row) -> None:
        try:
            with self.work() as work:
                self._spend(work, row)
                work.keep_time_of([row["subject"]])
                self.catalogue.jobs[row["job"]](work, row["subject"])
        except Exception:
            log.exception("%s of %s failed and is dropped", row["job"], row["subject"])
            with self.work() as work:
                self._spend(work, row)

    @staticmethod
    def _spend(work: Work, row: Row) -> None:
        work.state.drop(JOB, f"{row['job']} {row['subject']}")
