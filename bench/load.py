"""Posts signed events over a fixed number of connections, by wrk where it is installed."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 32
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


async def post(url: str, events: Path, *, seconds: int) -> Load:
    if wrk := shutil.which("wrk"):
        return await _by_wrk(wrk, url, events, seconds)
    return await _by_asyncio(url, events, seconds)


def generator() -> str:
    return "wrk" if shutil.which("wrk") else "asyncio client (install wrk for a lighter one)"


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
