"""Sorting in: what a delivered event is to us, decided once, on arrival."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from payments.stripe_api.service import API_VERSION, Delivery
from payments.sync.resources import Registry

PAYLOAD: Final = 0
"""Lane of events that are applied from the object they carry."""
FETCH: Final = 1
"""Lane of events, and wishes of our own, that are taps: the object is fetched."""


CLIENT_SECRET: Final = re.compile(rb'("client_secret"\s*:\s*")[^"]*')
"""Whoever holds it may confirm the payment; it is for the customer's browser, not for our disk."""

YEAR_9000: Final = 221_845_392_000


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery, sorted into its lane; `lane` is None for what this service does not follow."""

    id: str
    type: str
    resource: str | None
    object_id: str | None
    account: str | None
    livemode: bool | None
    api_version: str | None
    created_at: datetime | None
    lane: int | None
    body: bytes


def sort_in(delivery: Delivery, registry: Registry, *, livemode: bool) -> Row:
    """Decide what an event is to us: applied from its payload, a tap to fetch, or only kept. A
    signed event of any shape can be kept; what is of the wrong type in it counts as missing.
    """
    event = delivery.event
    target = _target(event)
    type = event["type"].removeprefix("v1.")
    resource = registry.by_event.get(type)
    object_id = _text(target.get(resource.named_by.get(type, "id") if resource else "id"))
    account = event.get("account") or event.get("context")
    if account or event.get("livemode") not in (None, livemode) or object_id is None:
        resource = None
    gone = event["type"].endswith(".deleted")  # it carries how the object was before
    payload = (
        resource is not None
        and resource.from_payload
        and target.get("object") == resource.name
        and not gone
        and event.get("api_version") == API_VERSION
        and resource.whole(target)
    )
    flag = event.get("livemode")
    return Row(
        id=event["id"],
        type=event["type"],
        resource=resource.name if resource else None,
        object_id=object_id,
        account=_text(account),
        livemode=flag if isinstance(flag, bool) else None,
        api_version=_text(event.get("api_version")),
        created_at=_time(event.get("created")),
        lane=None if resource is None else PAYLOAD if payload else FETCH,
        body=CLIENT_SECRET.sub(rb"\1***", delivery.body),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() else None


def _time(value: Any) -> datetime | None:
    plausible = isinstance(value, int) and 0 <= value < YEAR_9000
    return datetime.fromtimestamp(value, UTC) if plausible else None


def _target(event: dict[str, Any]) -> dict[str, Any]:
    """The object of a snapshot event, or what a thin one points at."""
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else event.get("related_object")
    return found if isinstance(found, dict) else {}
