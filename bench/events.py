"""Signed events as Stripe would post them, no two the same: one payment each, for one booking."""

import hashlib
import hmac
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from payments.stripe_api.service import API_VERSION

SECRET = "whsec_bench"  # noqa: S105 - signs made-up events for a server of our own
BODY_BYTES = 2048
DEPOSIT_CENTS = 10_000


def booking(number: int) -> str:
    return f"bk_bench_{number}"


def signed(number: int, *, now: int) -> tuple[str, bytes]:
    """The Stripe-Signature header and the body of a `payment_intent.succeeded`, 2 KB long."""
    event = _event(number, now)
    metadata = event["data"]["object"]["metadata"]
    metadata["filler"] = "x" * (BODY_BYTES - len(orjson.dumps(event)))
    body = orjson.dumps(event)
    digest = hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256)
    return f"t={now},v1={digest.hexdigest()}", body


def write(path: Path, numbers: Iterable[int]) -> Path:
    """A line for each event: its signature, a tab and the body."""
    now = int(time.time())
    with path.open("wb") as file:
        for number in numbers:
            signature, body = signed(number, now=now)
            file.write(signature.encode() + b"\t" + body + b"\n")
    return path


def _event(number: int, now: int) -> dict[str, Any]:
    intent = {
        "id": f"pi_{uuid4().hex}",
        "object": "payment_intent",
        "amount": DEPOSIT_CENTS,
        "amount_received": DEPOSIT_CENTS,
        "client_secret": f"pi_secret_{uuid4().hex}",
        "currency": "usd",
        "customer": f"cus_bench_{number}",
        "status": "succeeded",
        "created": now,
        "last_payment_error": None,
        "livemode": False,
        "metadata": {
            "app": "payments",
            "reference": f"booking:{booking(number)}",
            "payment_type": "deposit",
            "filler": "",
        },
    }
    return {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": intent},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "payment_intent.succeeded",
    }
