"""Events, as they were announced."""

from fnmatch import fnmatchcase

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource

_PENDING = range(1, 17)  # an account has at most 16 endpoints


def _is_of_type(event: Body, wanted: object) -> bool:
    return fnmatchcase(event["type"], str(wanted))


def _is_of_types(event: Body, wanted: object) -> bool:
    return isinstance(wanted, list) and event["type"] in wanted


def _is_delivered(event: Body, wanted: object) -> bool:
    return (event["pending_webhooks"] == 0) is wanted


events = Resource(
    "event",
    id_prefix="evt",
    filters={
        "type": _is_of_type,
        "types": _is_of_types,
        "delivery_success": _is_delivered,
    },
    narrow={
        "type": lambda wanted: None if "*" in wanted else ("type", (wanted,)),
        "types": lambda wanted: ("type", wanted),
        "delivery_success": lambda wanted: None if wanted else ("pending_webhooks", _PENDING),
    },
)
