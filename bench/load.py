"""Posts signed events over a fixed number of connections, by wrk where it is installed."""

import asyncio
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

CONNECTIONS = 32
BODY_BYTES = 3600  # what payment_intent.succeeded weighs
SCRIPT = Path(__file__).with_name("events.lua")


@dataclass(frozen=True)
class Load:
    """What came of one round."""

    requests: int
    refused: int
    seconds: float

    @property
    def rate(self) -> float:
        return (self.requests - self.refused) / self.seconds


def write_events(path: Path, *, secret: str, count: int) -> None:
    """Signed events, no two the same; an event that is known already is too little work."""
    now = int(time.time())
    with path.open("w") as file:
        for _ in range(count):
            body = json.dumps(_event(now), separators=(",", ":"))
            digest = hmac.new(secret.encode(), f"{now}.{body}".encode(), hashlib.sha256)
            file.write(f"t={now},v1={digest.hexdigest()}\t{body}\n")


async def post(url: str, events: Path, *, seconds: int) -> Load:
    if wrk := shutil.which("wrk"):
        return await _by_wrk(wrk, url, events, seconds)
    return await _by_asyncio(url, events, seconds)


def generator() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio client (install wrk for a lighter one)"


def _event(now: int) -> dict[str, object]:
    intent = {
        "id": f"pi_{uuid4().hex}",
        "object": "payment_intent",
        "amount": 10000,
        "amount_received": 10000,
        "currency": "usd",
        "status": "succeeded",
        "created": now,
        "metadata": {"filler": "x" * BODY_BYTES},
    }
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": now,
        "data": {"object": intent},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "payment_intent.succeeded",
    }
    surplus = len(json.dumps(event, separators=(",", ":"))) - BODY_BYTES
    intent["metadata"] = {"filler": "x" * (BODY_BYTES - surplus)}
    return event


async def _by_wrk(wrk: str, url: str, events: Path, seconds: int) -> Load:
    shape = ["-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(SCRIPT)]
    process = await asyncio.create_subprocess_exec(
        wrk, *shape, url, "--", str(events), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    result = next(line for line in out.decode().splitlines() if line.startswith("RESULT"))
    requests, refused, microseconds = map(int, result.split()[1:])
    return Load(requests, refused, microseconds / 1e6)


async def _by_asyncio(url: str, events: Path, seconds: int) -> Load:
    deadline = time.monotonic() + seconds
    waiting = _requests(url, events)
    start = time.monotonic()
    lanes = [_lane(url, waiting, deadline) for _ in range(CONNECTIONS)]
    counts = await asyncio.gather(*lanes)
    done, refused = map(sum, zip(*counts, strict=True))
    return Load(done, refused, time.monotonic() - start)


def _requests(url: str, events: Path) -> Iterator[bytes]:
    address = urlsplit(url)
    for line in events.read_text().splitlines():
        signature, body = line.split("\t", 1)
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/json\r\nStripe-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield (head + body).encode()


async def _lane(url: str, waiting: Iterator[bytes], deadline: float) -> tuple[int, int]:
    """One connection; returns how many requests it made and how many were refused."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    done = refused = 0
    for request in waiting:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        done += 1
        refused += not head.startswith(b"http/1.1 2")
        if time.monotonic() > deadline:
            break
    writer.close()
    return done, refused
