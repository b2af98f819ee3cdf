"""Events, as they were announced."""

import secrets
from fnmatch import fnmatchcase

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import DELIVERY, Work, wants

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


@events.beside_contract("post", "/v1/events/{event}/retry", takes="for_stripecli webhook_endpoint")
def retry(work: Work, params: Body, event: str) -> Body:
    """Post it once more, to one endpoint or to all that want it, as `stripe events resend` does;
    whether an earlier attempt was accepted plays no part.
    """
    body = work.find("event", event)
    if chosen := params.get("webhook_endpoint"):
        endpoints = [work.find("webhook_endpoint", chosen, param="webhook_endpoint")]
        if endpoints[0]["status"] != "enabled":
            raise refused(f"The webhook endpoint {chosen} is disabled.", param="webhook_endpoint")
    else:
        endpoints = [e for e in work.every("webhook_endpoint") if wants(e, body["type"])]
    for endpoint in endpoints:
        row = {"event": event, "endpoint": endpoint["id"], "attempts": 0, "due": 0.0}
        key = f"{event} {endpoint['id']} {secrets.token_hex(4)}"
        work.state.put(DELIVERY, key, {**row, "copy": True, "once": True})
    return body
