"""How long a customer waits at rest: from Stripe's post until the booking is shown as paid, against
one GET of that booking.
"""

import time
from dataclasses import dataclass
from statistics import median

import httpx2
import jwt

from bench.events import booking, signed
from bench.rig import KEY, Rig, Told
from bench.server import WEBHOOK

PAYMENTS = 100


@dataclass(frozen=True)
class Waits:
    """Medians, in seconds."""

    get: float
    paid: float


async def measure(rig: Rig, told: Told) -> Waits:
    first = rig.booked
    await rig.fresh_events(PAYMENTS)
    async with rig.api() as url, rig.worker(), httpx2.AsyncClient(base_url=url) as client:
        client.headers["Authorization"] = f"Bearer {token()}"
        waits = []
        for number in range(first, first + PAYMENTS):
            waits.append(await _wait(client, number))
            told(1)
    return Waits(median(wait.get for wait in waits), median(wait.paid for wait in waits))


async def _wait(client: httpx2.AsyncClient, number: int) -> Waits:
    path = f"/api/v1/bookings/{booking(number)}"
    await client.get(path)
    started = time.perf_counter()
    await client.get(path)
    got = time.perf_counter() - started
    signature, body = signed(number, now=int(time.time()))
    started = time.perf_counter()
    answer = await client.post(WEBHOOK, content=body, headers={"Stripe-Signature": signature})
    answer.raise_for_status()
    while (await client.get(path)).raise_for_status().json()["state"] == "pending":
        pass
    return Waits(got, time.perf_counter() - started)


def token() -> str:
    """An admin's, for as long as a measurement may take."""
    claims = {"sub": "bench", "role": "admin", "exp": int(time.time()) + 3600}
    return jwt.encode(claims, KEY, "HS256")
