"""One unit of work: what a request, or a thing whose time has come, changes and announces."""

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import stripe

from stripe_sandbox.config import Config
from stripe_sandbox.contract.errors import missing, no_such
from stripe_sandbox.contract.responses import Body, event_types, filled, resource_class
from stripe_sandbox.engine.chaos import Story
from stripe_sandbox.engine.registry import Catalogue
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.table import Row

NOTE, JOB, CLOCK_JOB = "~note", "~job", "~clock_job"
DELIVERY, LOST = "~delivery", "~lost"  # what is to be delivered, and what was given up
CLOCK = "test_helpers.test_clock"


@dataclass(frozen=True, slots=True)
class Origin:
    """The request behind a change; both are None when Stripe acts by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Work:
    """Everything here happens between the start and the end of one transaction.

    Objects are what Stripe shows. What Stripe knows and does not show (which test card it is, the
    lines of a session) stands in notes beside them.

    Attributes:
        now: the time that counts here, in seconds: the wall's, or that of a test clock.
        clock: the test clock that what is made here lives by.
    """

    def __init__(
        self, *, state: State, config: Config, catalogue: Catalogue, story: Story, origin: Origin
    ) -> None:
        self.state = state
        self.config = config
        self.catalogue = catalogue
        self.story = story
        self.origin = origin
        self.now = int(time.time())
        self.clock: str | None = None

    def keep_time_of(self, ids: Iterable[object]) -> None:
        """Live by the test clock of the customer whom these ids concern, if there is one."""
        for id in ids:
            body = (self.find_anywhere(id) if isinstance(id, str) else None) or {}
            if "customer" not in body and "subscription" in body:
                body = self.get("subscription", body["subscription"]) or body
            customer = self.get("customer", body.get("customer")) or body
            clock = self.get(CLOCK, customer.get("test_clock")) or body
            if clock.get("object") == CLOCK:
                self.clock, self.now = clock["id"], clock["frozen_time"]
                return

    def create(self, object: str, *, id: str | None = None, **fields: Any) -> Body:
        cls = resource_class(object)
        body = filled(cls, fields)
        body["id"] = id or self.new_id(object)
        for name, value in (("created", self.now), ("updated", self.now), ("metadata", {})):
            if name in body and name not in fields:
                body[name] = value
        return self.state.put(object, body["id"], body)

    def new_id(self, object: str) -> str:
        return f"{self.catalogue.resources[object].id_prefix}_{secrets.token_hex(12)}"

    def get(self, object: str, id: str | None) -> Body | None:
        """The object, also when it is only a trace of a deleted one."""
        return self.state.get(object, id) if id else None

    def find(self, object: str, id: str, *, param: str | None = None) -> Body:
        """The living object, or Stripe's 404 that blames `param`."""
        body = self.state.get(object, id)
        if body is None or body.get("deleted"):
            resource = self.catalogue.resources[object]
            raise no_such(resource.label, id, param=param or resource.param)
        return body

    def named(self, object: str, params: Body) -> Body:
        """The living object that a required parameter names."""
        if object not in params:
            raise missing(object)
        return self.find(object, params[object], param=object)

    def find_anywhere(self, id: str) -> Body | None:
        """Whatever object has this id."""
        kinds = (kind for kind in self.state.kinds() if not kind.startswith("~"))
        return next((row for kind in kinds if (row := self.state.get(kind, id))), None)

    def every(self, object: str, **equal: Any) -> Iterator[Body]:
        """The living ones, newest first; a field by name narrows them down, by an index."""
        having = next(((name, (value,)) for name, value in equal.items()), None)
        found = self.state.table(object).scan(having)
        return (
            body
            for body in found
            if not body.get("deleted") and all(body[name] == v for name, v in equal.items())
        )

    def change(self, body: Body, **changes: Any) -> Body:
        """Change fields; returns what `previous_attributes` shows of them."""
        before = {name: body.get(name) for name in changes}
        self.state.change(body["object"], body["id"], **changes)
        return _differences(before, changes)

    def delete(self, body: Body, *, leave_trace: bool) -> Body:
        """Delete an object; a trace is what a later retrieve still answers with."""
        trace = {"id": body["id"], "object": body["object"], "deleted": True}
        if leave_trace:
            self.state.put(body["object"], body["id"], dict(trace))
        else:
            self.state.drop(body["object"], body["id"])
        return trace

    def note(self, id: str) -> Row:
        return self.state.get(NOTE, id) or {}

    def remember(self, id: str, **facts: Any) -> None:
        self.state.put(NOTE, id, {**self.note(id), **facts})

    def emit(self, type: str, body: Body, *, previous: Body | None = None) -> Body:
        """Record an event with the object as it is now and address it to the endpoints."""
        assert type in event_types(), type
        data: Body = {"object": orjson.loads(orjson.dumps(body))}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.create(
            "event",
            type=type,
            created=int(time.time()),
            api_version=stripe.api_version,
            request={
                "id": self.origin.request_id,
                "idempotency_key": self.origin.idempotency_key,
            },
        )
        self.state.change("event", event["id"], data=data, pending_webhooks=self._address(event))
        for follow in self.catalogue.followers.get(type, ()):
            follow(self, body)
        return event

    def announce(self, type: str, body: Body, **changes: Any) -> None:
        """Change fields and, if any value is new, emit an event that shows the old ones."""
        previous = self.change(body, **changes)
        if previous:
            self.emit(type, body, previous=previous)

    def _address(self, event: Body) -> int:
        endpoints = [e for e in self.every("webhook_endpoint") if wants(e, event["type"])]
        for endpoint in endpoints:
            rows = self.story.deliveries(event, endpoint)
            for key, row in rows.items():
                self.state.put(DELIVERY, key, row)
            if not rows:
                self.state.put(LOST, f"{event['id']} {endpoint['id']}", {"event": event["id"]})
        return len(endpoints)

    def settle_later(self, job: str, body: Body) -> None:
        """Schedule what Stripe settles by itself, or at once on `POST /_sandbox/settle`."""
        self._schedule(job, body["id"], due=time.time() + self.config.settle_after, settles=True)

    def settle_next(self, job: str, body: Body) -> None:
        """Schedule what Stripe does by itself as soon as the request is answered."""
        self._schedule(job, body["id"], due=int(time.time()), settles=True)

    def schedule(self, job: str, body: Body, *, at: float) -> None:
        """Schedule what happens at a time of the clock that counts here."""
        self._schedule(job, body["id"], due=at, settles=False)

    def unschedule(self, job: str, body: Body) -> None:
        for kind in (JOB, CLOCK_JOB):
            self.state.drop(kind, f"{job} {body['id']}")

    def _schedule(self, job: str, subject: str, *, due: float, settles: bool) -> None:
        row = {
            "job": job,
            "subject": subject,
            "due": due,
            "settles": settles,
            "clock": self.clock,
        }
        waits_for_clock = self.clock is not None and not settles
        self.state.put(CLOCK_JOB if waits_for_clock else JOB, f"{job} {subject}", row)


def wants(endpoint: Body, type: str) -> bool:
    """Whether an endpoint is to get events of this type."""
    chosen = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in chosen or type in chosen)


def _differences(before: Body, after: Body) -> Body:
    """The old values of what changed; of a hash only the keys that changed."""
    changed: Body = {}
    for name, old in before.items():
        new = after[name]
        if old == new:
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changed[name] = (
            _differences(dict.fromkeys(new) | old, dict.fromkeys(old) | new) if both else old
        )
    return changed
