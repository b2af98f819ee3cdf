"""The SDK's HTTP seam on httpx2: pool, timeouts and metrics in our hands."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import httpx2
import stripe

from payments.core.telemetry import STRIPE_SECONDS
from payments.stripe_api.exchanges import Exchange


class Transport(stripe.HTTPClient):
    """Lets the SDK speak through an `httpx2.AsyncClient`, so through an ASGI app in tests too. Each
    try is told to `note`, which must not take time.
    """

    name = "httpx2"

    def __init__(
        self, client: httpx2.AsyncClient, *, note: Callable[[Exchange], None] | None = None
    ) -> None:
        super().__init__()
        self._client = client
        self._note = note

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        began, response, failure = monotonic(), None, "interrupted"
        try:
            response = await self._client.request(
                method, url, headers=dict(headers), content=post_data or None
            )
        except httpx2.HTTPError as exc:
            failure = type(exc).__name__
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]  # the SDK's own gap
                f"{failure} while calling Stripe", should_retry=True
            ) from exc
        finally:
            seconds = monotonic() - began
            outcome = "unreachable" if response is None else str(response.status_code)
            STRIPE_SECONDS.labels(method=method, outcome=outcome).observe(seconds)
            if self._note is not None:
                self._note(
                    Exchange(
                        method=method.upper(),
                        url=url,
                        form=post_data if isinstance(post_data, str) else "",
                        key=headers.get("Idempotency-Key"),
                        response=response,
                        failure=None if response is not None else failure,
                        began=began,
                        seconds=seconds,
                    )
                )
        return response.content, response.status_code, response.headers

    async def sleep_async(self, secs: float) -> None:
        await asyncio.sleep(secs)

    async def close_async(self) -> None:
        await self._client.aclose()

    def close(self) -> None:
        """The SDK closes its synchronous half; there is none here."""


def client(
    *, timeout: float, transport: httpx2.AsyncBaseTransport | None = None
) -> httpx2.AsyncClient:
    """A pool for one process; `transport` replaces the network in tests."""
    return httpx2.AsyncClient(
        transport=transport,
        timeout=httpx2.Timeout(timeout, connect=min(timeout, 5.0)),
        limits=httpx2.Limits(max_connections=50, max_keepalive_connections=20),
    )
