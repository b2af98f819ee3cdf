"""`payments test-integration`: somebody pays, is refunded and subscribes, all in test mode."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from payments.context import Context
from payments.core.errors import Problem
from payments.core.money import Money, minimum
from payments.onboarding.arrival import arrival
from payments.onboarding.endpoints import ROUTE
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import Client, RequestOptions, options
from payments.sync.inbox import StripeEvent

CARD: Final = "pm_card_visa"
SAID: Final = "payments test-integration"
EVENT: Final = "payment_intent.succeeded"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried; `fix` says what to do where it has not worked."""

    name: str
    said: str
    fix: str | None = None


class Broken(Exception):
    """A step has not worked."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__(said)
        self.said, self.fix = said, fix


@dataclass(slots=True)
class Trip:
    """A round trip, and what it has made at Stripe so far. Nothing of it carries our `app`: it is
    mirrored like another application's, and has no effect here.
    """

    ctx: Context
    patience: timedelta
    mark: str = field(default_factory=lambda: uuid4().hex)
    made: dict[str, str] = field(default_factory=dict)

    @property
    def money(self) -> Money:
        currency = self.ctx.settings.default_currency
        return Money(max(1000, 2 * minimum(currency)), currency)

    async def send(
        self, what: str, request: Callable[[Client, RequestOptions], Awaitable[Any]]
    ) -> dict[str, Any]:
        named = options(f"round_trip:{self.mark}:{what}")
        return (await self.ctx.stripe.call(lambda c: request(c, named))).object


async def go(trip: Trip) -> AsyncIterator[Step]:
    """Step by step, up to the first that does not work."""
    for name, step in STEPS.items():
        try:
            yield Step(name, await step(trip))
        except Broken as exc:
            yield Step(name, exc.said, exc.fix)
            return
        except Problem as exc:
            yield Step(name, exc.detail, "`payments doctor` looks at key, permissions and network")
            return


async def clean_up(trip: Trip) -> Step:
    """Remove what was made; Stripe ends a deleted customer's subscription. What was charged and
    given back stays in the account's books of test mode, and so does the archived product: one that
    has a price cannot be deleted.
    """
    if not trip.made:
        return Step("Clean up", "nothing was made")
    left = []
    for kind, remove in REMOVALS.items():
        if (id := trip.made.get(kind)) is not None:
            try:
                await remove(trip, id)
            except StripeObjectMissing:
                continue
            except Problem as exc:
                left.append(f"{id} ({exc.detail})")
    if left:
        return Step("Clean up", f"left: {', '.join(left)}", "remove it in Stripe's dashboard")
    return Step("Clean up", "customer and subscription deleted, product archived")


async def _customer(trip: Trip) -> str:
    params: Any = {
        "name": SAID,
        "metadata": {"round_trip": trip.mark},
        "payment_method": CARD,
        "invoice_settings": {"default_payment_method": CARD},
    }
    made = await trip.send("customer", lambda c, o: c.v1.customers.create_async(params, o))
    trip.made["customer"] = made["id"]
    trip.made["card"] = made["invoice_settings"]["default_payment_method"]
    return f"{made['id']}, with the card {CARD}"


async def _product(trip: Trip) -> str:
    amount, currency = trip.money
    price = {"currency": currency, "unit_amount": amount, "recurring": {"interval": "month"}}
    params: Any = {
        "name": SAID,
        "metadata": {"round_trip": trip.mark},
        "default_price_data": price,
    }
    made = await trip.send("product", lambda c, o: c.v1.products.create_async(params, o))
    trip.made["product"], trip.made["price"] = made["id"], made["default_price"]
    return f"{made['id']}, {trip.money} each month"


async def _payment(trip: Trip) -> str:
    amount, currency = trip.money
    params: Any = {
        "amount": amount,
        "currency": currency,
        "customer": trip.made["customer"],
        "payment_method": trip.made["card"],
        "confirm": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": SAID,
        "metadata": {"round_trip": trip.mark},
    }
    made = await trip.send("payment", lambda c, o: c.v1.payment_intents.create_async(params, o))
    trip.made["payment"] = made["id"]
    _insist(made, "succeeded")
    return f"{made['id']}, {trip.money} {made['status']}"


async def _refund(trip: Trip) -> str:
    params: Any = {"payment_intent": trip.made["payment"]}
    made = await trip.send("refund", lambda c, o: c.v1.refunds.create_async(params, o))
    _insist(made, "succeeded", "pending")
    return f"{made['id']}, {made['status']}"


async def _subscription(trip: Trip) -> str:
    params: Any = {
        "customer": trip.made["customer"],
        "items": [{"price": trip.made["price"]}],
        "metadata": {"round_trip": trip.mark},
    }
    made = await trip.send("subscription", lambda c, o: c.v1.subscriptions.create_async(params, o))
    _insist(made, "active")
    ended = await trip.send(
        "cancel", lambda c, o: c.v1.subscriptions.cancel_async(made["id"], {}, o)
    )
    _insist(ended, "canceled")
    return f"{made['id']}, active and then canceled"


def _insist(made: dict[str, Any], *statuses: str) -> None:
    if made["status"] not in statuses:
        raise Broken(
            f"{made['id']} is {made['status']}, not {statuses[0]}",
            f"look at {made['id']} in Stripe's dashboard, in test mode",
        )


async def _webhook(trip: Trip) -> str:
    """The payment's event has come here, and a worker has applied it."""
    which = (StripeEvent.object_id == trip.made["payment"], StripeEvent.type == EVENT)
    seen = await arrival(trip.ctx, trip.patience, *which)
    if seen is None or seen.outcome is None:
        raise _late(seen, trip.patience)
    if seen.outcome != "applied":
        raise Broken(f"{seen.id} is {seen.outcome}: {seen.error}", f"payments explain {seen.id}")
    return f"{seen.id} ({EVENT}) has arrived and was applied"


def _late(seen: Any, patience: timedelta) -> Broken:
    waited = f"within {patience.total_seconds():.0f} s"
    if seen is not None:
        said = f"{seen.id} has arrived, and was not applied {waited}"
        return Broken(
            f"{said}: {seen.error}" if seen.error else said,
            "start `payments worker`, or see what it says",
        )
    return Broken(
        f"no event has arrived {waited}",
        "`payments webhooks list` shows where Stripe posts, `payments webhooks register --url "
        "https://…` changes it; on a laptop `payments dev` fetches events, or `stripe listen "
        f"--forward-to localhost:8000{ROUTE}`",
    )


STEPS: Final[dict[str, Callable[[Trip], Awaitable[str]]]] = {
    "Customer": _customer,
    "Product": _product,
    "Payment": _payment,
    "Refund": _refund,
    "Subscription": _subscription,
    "Webhook": _webhook,
}
REMOVALS: Final[dict[str, Callable[[Trip, str], Awaitable[Any]]]] = {
    "customer": lambda trip, id: trip.send(
        "delete", lambda c, o: c.v1.customers.delete_async(id, {}, o)
    ),
    "product": lambda trip, id: trip.send(
        "archive", lambda c, o: c.v1.products.update_async(id, {"active": False}, o)
    ),
}
