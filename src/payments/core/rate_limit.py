"""How often one caller may ask: a token bucket a principal, or an address where nobody is known."""

from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv6Network, ip_address
from math import ceil
from time import monotonic
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from payments.core.errors import Problem, render
from payments.core.principal import caller

CALLERS: Final = 10_000


class RateLimited(Problem):
    """Too many requests."""

    status, code = 429, "rate_limited"


class Allowance:
    """A minute's worth of requests for each caller. It may be spent at once and comes back evenly.

    Only the latest callers are remembered, so that no crowd fills the memory.
    """

    def __init__(
        self, per_minute: int, *, callers: int = CALLERS, now: Callable[[], float] = monotonic
    ) -> None:
        self._size, self._callers, self._now = per_minute, callers, now
        self._left: dict[str, tuple[float, float]] = {}

    def spend(self, caller: str) -> int:
        """Take one request of this caller's: 0, or the seconds until there is one to take."""
        now = self._now()
        left, at = self._left.pop(caller, (float(self._size), now))
        left = min(self._size, left + (now - at) * self._size / 60)
        wait = ceil((1 - left) * 60 / self._size) if left < 1 else 0
        self._left[caller] = (left if wait else left - 1, now)
        if len(self._left) > self._callers:
            del self._left[next(iter(self._left))]
        return wait


class RateLimit:
    """Pure ASGI middleware: 429 before anything is read. A known principal never pays for what
    others do from the same address.
    """

    def __init__(
        self, app: ASGIApp, *, principals: int, addresses: int, exempt: Collection[str]
    ) -> None:
        """Limit an application.

        Args:
            app: what is limited.
            principals: requests a minute of one principal; 0 is no limit.
            addresses: requests a minute, without a principal, of one address; 0 is no limit.
            exempt: paths that anybody may ask for as often as they like.
        """
        self._app, self._exempt = app, frozenset(exempt)
        self._principals = Allowance(principals) if principals else None
        self._addresses = Allowance(addresses) if addresses else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = 0
        if scope["type"] == "http" and scope["path"] not in self._exempt:
            wait = await self._spend(Request(scope))
        if not wait:
            await self._app(scope, receive, send)
            return
        refused = RateLimited(f"ask again in {wait} s, and less often then", retry_after=wait)
        await render(refused)(scope, receive, send)

    async def _spend(self, request: Request) -> int:
        try:
            who = await caller(request)
        except Exception:  # noqa: BLE001 - it is raised again where a principal is needed
            who = None
        if who is not None:
            return self._principals.spend(f"{who.role}:{who.user_id}") if self._principals else 0
        host = request.client.host if request.client else ""
        return self._addresses.spend(origin(host)) if self._addresses else 0


def origin(host: str) -> str:
    """Whom an address belongs to: with IPv6 a customer is given a whole /64."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address) or address.ipv4_mapped:
        return host
    return str(IPv6Network((address, 64), strict=False))
