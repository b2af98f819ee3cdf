"""The main job told step by step: a booking is paid, first its deposit and then the balance."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx2
from rich.console import Console
from rich.table import Table

from payments.core.money import display

TOKEN = "dev-token"  # noqa: S105 - the development stack's own; it opens nothing else
CARD = "pm_card_visa"
DINNER = {
    "date": "2027-06-12",
    "time": "18:00",
    "guests": 8,
    "menu": "adult",
    "location": "123 Main St, San Jose, CA",
}
LONG = 20  # characters of an id
SEEN_WITHIN = 20.0  # seconds from paying until the booking shows it


class DemoFailed(Exception):
    """The story did not reach its end; the message says where and why."""


async def tell(*, api: str, sandbox: str, console: Console, token: str = TOKEN) -> None:
    """Books a dinner, pays it in two parts on the offline Stripe, and shows the money move.

    Raises:
        DemoFailed: a step was refused, or the booking did not become paid in time.
    """
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(base_url=f"{api}/api/v1", headers=headers, timeout=30) as shop,
        httpx2.AsyncClient(base_url=sandbox, timeout=30) as stripe,
    ):
        story = Story(shop, stripe, console)
        booking = await story.book()
        await story.pay(booking, purpose="deposit", expected="confirmed")
        await story.pay(booking, purpose="balance", expected="paid")


class Story:
    """The steps, each with what happens underneath."""

    def __init__(
        self, shop: httpx2.AsyncClient, stripe: httpx2.AsyncClient, console: Console
    ) -> None:
        self._shop = shop
        self._stripe = stripe
        self._console = console

    async def book(self) -> str:
        """Returns the booking's id."""
        self._headline("A customer books a dinner for eight")
        booking = await ask(
            self._shop, "POST", "/bookings", DINNER, {"Idempotency-Key": uuid4().hex}
        )
        self._aside(f"POST /api/v1/bookings → {booking['id']}; the price is the server's")
        self._money(booking)
        return str(booking["id"])

    async def pay(self, booking: str, *, purpose: str, expected: str) -> None:
        """Pays one part and waits until the booking knows it."""
        self._headline(f"The customer pays the {purpose} on Stripe's page")
        wanted = {"booking_id": booking, "payment_type": purpose}
        session = await ask(self._shop, "POST", "/stripe/create-checkout-session", wanted)
        name, amount = session["session_id"], session["amount_cents"]
        self._aside(f"POST /api/v1/stripe/create-checkout-session → {shortened(name)}")

        paid = {"payment_method": CARD, "expected_amount": amount}
        start = time.monotonic()
        await ask_form(self._stripe, f"/v1/payment_pages/{name}/confirm", paid)
        self._aside(f"{CARD} is charged; Stripe posts signed events to /api/v1/stripe/webhook")

        shown = await self._settled(booking, expected)
        took = time.monotonic() - start
        self._aside(f"stored, then applied by the worker: the booking knew after {took:.1f} s")
        self._money(shown)

    async def _settled(self, booking: str, expected: str) -> dict[str, Any]:
        deadline = time.monotonic() + SEEN_WITHIN
        while (shown := await ask(self._shop, "GET", f"/bookings/{booking}"))["state"] != expected:
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"booking {booking} is {shown['state']!r} and not {expected!r} after "
                    f"{SEEN_WITHIN:.0f} s: does the worker run, and does Stripe reach the webhook?"
                )
            await asyncio.sleep(0.1)
        return shown

    def _headline(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")

    def _aside(self, text: str) -> None:
        self._console.print(f"  {text}", style="dim", markup=False)

    def _money(self, booking: Mapping[str, Any]) -> None:
        table = Table(box=None, padding=(0, 2), header_style="dim")
        for title in ("total", "deposit", "paid", "due", "state"):
            table.add_column(title, justify="left" if title == "state" else "right")
        cents = (booking[f"{name}_cents"] for name in ("total", "deposit", "paid", "due"))
        amounts = (display(amount, booking["currency"]) for amount in cents)
        table.add_row(*amounts, f"[green]{booking['state']}[/]")
        self._console.print(table)


async def ask(
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One request to the API; its answer, or its refusal as the reason of the failure."""
    return await _answer(client, client.build_request(method, path, json=body, headers=headers))


async def ask_form(
    client: httpx2.AsyncClient, path: str, form: Mapping[str, Any]
) -> dict[str, Any]:
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    return await _answer(client, client.build_request("POST", path, data=form, headers=headers))


async def _answer(client: httpx2.AsyncClient, request: httpx2.Request) -> dict[str, Any]:
    try:
        response = await client.send(request)
    except httpx2.TransportError as error:
        raise DemoFailed(f"{request.url} cannot be reached: {error!r}") from error
    if response.is_error:
        raise DemoFailed(
            f"{request.method} {request.url} → {response.status_code}: {response.text}"
        )
    answer: dict[str, Any] = response.json()
    return answer


def shortened(id: str) -> str:
    """Stripe's session ids are too long for a line."""
    return id if len(id) <= LONG else f"{id[:LONG]}…"
