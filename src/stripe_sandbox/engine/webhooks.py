"""Delivery of events: signed when sent, retried with growing delays, never in a promised order."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx2
import orjson

from stripe_sandbox.config import Config
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.contract.versions import version_of
from stripe_sandbox.engine.alarm import Alarm
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.table import Row
from stripe_sandbox.engine.work import DELIVERY, LOST, NOTE

log = logging.getLogger("stripe_sandbox.webhooks")

_REMEMBERED, _EXCERPT = 1_000, 300


@dataclass(slots=True)
class Attempt:
    """One post of one event to one endpoint; `error` says why there is no status."""

    event: str
    type: str
    endpoint: str
    url: str
    number: int
    at: float = field(default_factory=time.time)
    seconds: float = 0.0
    status: int | None = None
    error: str = ""
    excerpt: str = ""

    @property
    def accepted(self) -> bool:
        return HTTPStatus.OK <= (self.status or 0) < HTTPStatus.MULTIPLE_CHOICES

    @property
    def outcome(self) -> str:
        return self.error or str(self.status)


def signature(payload: bytes, *secrets: str, at: int) -> str:
    """The value of `Stripe-Signature`, with a `v1` for each secret that is live."""
    signed = f"{at}.".encode() + payload
    macs = (hmac.new(secret.encode(), signed, hashlib.sha256) for secret in secrets)
    return ",".join((f"t={at}", *(f"v1={mac.hexdigest()}" for mac in macs)))


class Courier:
    """Carries what stands in the state's delivery rows; a row lives until an endpoint answers 2xx
    or the delays are used up, so deliveries outlive the process.

    Attributes:
        attempts: the last ones of this process, oldest first.
    """

    def __init__(
        self, *, state: Callable[[], State], config: Config, http: httpx2.AsyncClient | None
    ) -> None:
        self._state = state
        self._config = config
        self._given = http
        self._own: httpx2.AsyncClient | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._queued: defaultdict[str, deque[str]] = defaultdict(deque)
        self._busy: Counter[str] = Counter()
        self._answered: dict[str, asyncio.Event] = {}
        self._alarm = Alarm(self.wake)
        self.attempts: deque[Attempt] = deque(maxlen=_REMEMBERED)
        self.paused = False

    def wake(self) -> None:
        """Start what is due where an endpoint has a free slot; ring again for what is due later."""
        if self.paused:
            self._alarm.clear()
            return
        agenda = self._state().agenda(DELIVERY)
        for key in agenda.take(time.time()):
            self._queued[key.split(" ")[1]].append(key)
        for endpoint, queue in self._queued.items():
            while queue and self._busy[endpoint] < self._config.delivery_slots:
                self._start(queue.popleft(), endpoint)
        self._alarm.set(agenda.next)

    def _start(self, key: str, endpoint: str) -> None:
        if key not in self._under_way and self._state().get(DELIVERY, key):
            self._busy[endpoint] += 1
            self._under_way[key] = asyncio.create_task(self._carry(key))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.wake()

    async def answered(self, event: str, *, within: float) -> None:
        """Wait until every endpoint has answered this event once, whatever it said."""
        if self.paused or not self._unanswered(event):
            return
        happened = self._answered.setdefault(event, asyncio.Event())
        try:
            await asyncio.wait_for(happened.wait(), within)
        except TimeoutError:
            log.info("no answer to %s within %s s; the page goes on", event, within)
        finally:
            self._answered.pop(event, None)

    async def drained(self) -> None:
        """Wait until every delivery was accepted or given up."""
        while waiting := self._state().rows(DELIVERY):
            if self._under_way:
                tasks = self._under_way.values()
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            else:
                due = min(row["due"] for row in waiting.values())
                await asyncio.sleep(max(0.0, due - time.time()))

    async def aclose(self) -> None:
        self._alarm.clear()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._own is not None:
            await self._own.aclose()
            self._own = None

    async def _carry(self, key: str) -> None:
        state = self._state()
        row = state.get(DELIVERY, key)
        try:
            if row is not None:
                attempt = await self._attempt(state, row)
                self._record(state, key, accepted=attempt is not None and attempt.accepted)
        finally:
            del self._under_way[key]
            self._busy[key.split(" ")[1]] -= 1
            self._note_answer(key.partition(" ")[0])
        self.wake()

    async def _attempt(self, state: State, row: Row) -> Attempt | None:
        event = state.get("event", row["event"])
        endpoint = state.get("webhook_endpoint", row["endpoint"])
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            return None
        attempt = Attempt(
            event["id"], event["type"], endpoint["id"], endpoint["url"], row["attempts"] + 1
        )
        payload = orjson.dumps(_as_seen_by(event, endpoint))
        secrets = _live_secrets(state.get(NOTE, endpoint["id"]) or {})
        started = time.perf_counter()
        try:
            answer = await self._post(endpoint["url"], payload, secrets)
        except Exception as error:  # noqa: BLE001  # an endpoint in this process may raise anything
            attempt.error = repr(error)
        else:
            attempt.status = answer.status_code
            attempt.excerpt = answer.content[:_EXCERPT].decode(errors="replace")
        attempt.seconds = time.perf_counter() - started
        self.attempts.append(attempt)
        log.info("%s %s → %s: %s", attempt.event, attempt.type, attempt.url, attempt.outcome)
        return attempt

    async def _post(self, url: str, payload: bytes, secrets: list[str]) -> httpx2.Response:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(payload, *secrets, at=int(time.time())),
        }
        timeout = self._config.delivery_timeout
        return await self._client().post(
            url, content=payload, headers=headers, timeout=timeout, follow_redirects=False
        )

    def _record(self, state: State, key: str, *, accepted: bool) -> None:
        row = state.get(DELIVERY, key)
        if row is None:
            return
        delays = self._config.retry_delays
        attempts = row["attempts"] + 1
        with state.transaction():
            _release(state, row)
            if accepted:
                _acknowledge(state, row)
                state.drop(DELIVERY, key)
            elif "once" in row or attempts > len(delays) or not _lives(state, row):
                log.warning("%s: given up after %s attempts", key, attempts)
                _give_up(state, row, key)
            else:
                due = time.time() + delays[attempts - 1]
                state.change(DELIVERY, key, attempts=attempts, due=due)

    def _unanswered(self, event: str) -> bool:
        rows = self._state().table(DELIVERY).scan(("event", [event]))
        return any("copy" not in row and not row["attempts"] for row in rows)

    def _note_answer(self, event: str) -> None:
        if event in self._answered and not self._unanswered(event):
            self._answered[event].set()

    def _client(self) -> httpx2.AsyncClient:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = httpx2.AsyncClient()
        return self._own


def _as_seen_by(event: Body, endpoint: Body) -> Body:
    """The endpoint's version is named; the shape stays the SDK's."""
    return {**event, "api_version": version_of(endpoint["api_version"])}


def _live_secrets(note: Row) -> list[str]:
    """The newest first; older ones until they expire."""
    now = time.time()
    return [note["secret"], *(old for old, until in note.get("rolled", ()) if until > now)]


def _acknowledge(state: State, row: Row) -> None:
    """Count an endpoint as served, once, whichever attempt it was that it accepted."""
    first = f"{row['event']} {row['endpoint']}"
    waiting, event = state.get(DELIVERY, first), state.get("event", row["event"])
    if waiting is not None and "copy" not in waiting:
        state.change(DELIVERY, first, copy=True)
    elif state.get(LOST, first):
        state.drop(LOST, first)
    else:
        return
    if event is not None:
        state.change("event", event["id"], pending_webhooks=event["pending_webhooks"] - 1)


def _give_up(state: State, row: Row, key: str) -> None:
    state.drop(DELIVERY, key)
    if "copy" not in row:
        state.put(LOST, key, {"event": row["event"]})


def _release(state: State, row: Row) -> None:
    """Let the event go that was held until this one had overtaken it."""
    held = state.get(DELIVERY, row.get("overtakes", ""))
    if held is not None and not held["attempts"]:
        state.change(DELIVERY, row["overtakes"], due=0.0)


def _lives(state: State, row: Row) -> bool:
    endpoint = state.get("webhook_endpoint", row["endpoint"])
    return endpoint is not None and endpoint["status"] == "enabled"
