"""Sorting in: what a delivered event is to us, decided once, on arrival."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from payments.stripe_api.service import API_VERSION, Delivery
from payments.sync.resources import Registry

PAYLOAD: Final = 0
"""Lane of events that are applied from the object they carry."""
FETCH: Final = 1
"""Lane of events, and wishes of our own, that are taps: the object is fetched."""


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
    """Decide what an event is to us: applied from its payload, a tap to fetch, or only kept."""
    event = delivery.event
    target = _target(event)
    resource = registry.by_event.get(event["type"].removeprefix("v1."))
    object_id = target.get("id")
    account = event.get("account") or event.get("context")
    foreign = account is not None or event.get("livemode") not in (None, livemode)
    if foreign or not isinstance(object_id, str) or not object_id.isprintable():
        resource = None
    whole = resource is not None and resource.from_payload and target.get("object") == resource.name
    payload = whole and event.get("api_version") == API_VERSION
    created = event.get("created")
    return Row(
        id=event["id"],
        type=event["type"],
        resource=resource.name if resource else None,
        object_id=object_id if isinstance(object_id, str) else None,
        account=account,
        livemode=event.get("livemode"),
        api_version=event.get("api_version"),
        created_at=datetime.fromtimestamp(created, UTC) if isinstance(created, int) else None,
        lane=None if resource is None else PAYLOAD if payload else FETCH,
        body=delivery.body,
    )


def _target(event: dict[str, Any]) -> dict[str, Any]:
    """The object of a snapshot event, or what a thin one points at."""
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else event.get("related_object")
    return found if isinstance(found, dict) else {}
