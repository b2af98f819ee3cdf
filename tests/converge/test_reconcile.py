"""Reconcile: what differs from Stripe is named row by row, and nothing else is; healing heals it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest

from converge.observing import intent_at_stripe, paid_at_stripe, priced_booking, refund_at_stripe
from converge.oracle import expected_booking
from payments.sync.reconcile import confirm
from payments.sync.reconcile.run import carry_out, carry_out_due, request_nightly
from payments.sync.reconcile.runs import Round, Wish, begin, request
from payments.sync.resources import Resource
from payments.sync.throttle import Throttle
from service.variants import listening
from stripe_sandbox.webhooks import Courier
from world import Json, World

DROPPED = 0.2


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "GRACE_SECONDS", 0)
