"""What must be true once everything has arrived, worked out from Stripe's objects alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import asyncpg
import orjson

from payments.sync.resources import Registry, Resource
from world import Json

Objects = Mapping[str, Sequence[Json]]
"""All that Stripe has, by Stripe's word for its kind."""

ON_ITS_WAY = ("processing", "requires_capture")


def expected_booking(booking: Json, stripe: Objects, *, total: int, deposit: int) -> Json:
    """What a booking with this price, without its addons, has to say about its money."""
    intents = payments_of(booking, stripe)
    brought = {i["id"]: i["amount_received"] for i in intents}
    returned = {i["id"]: refunded(i, stripe) for i in intents}
    addons = [i["id"] for i in intents if i["metadata"].get("payment_type") == "addon"]
    extra = sum(brought[id] - returned[id] for id in addons)
    kept = sum(brought.values()) - sum(returned.values())
    return {
        "paid_cents": sum(brought.values()),
        "refunded_cents": sum(returned.values()),
        "processing_cents": sum(i["amount"] for i in intents if i["status"] in ON_ITS_WAY),
        "total_cents": total + extra,
        "due_cents": max(0, total + extra - kept),
        "state": _state(kept, towards=kept - extra, total=total, deposit=deposit),
    }


def _state(kept: int, *, towards: int, total: int, deposit: int) -> str:
    if kept <= 0 or towards < deposit:
        return "pending"
    return "paid" if towards >= total else "confirmed"


def payments_of(booking: Json, stripe: Objects) -> list[Json]:
    """The PaymentIntents that we, or somebody in our name, made for a booking."""
    ours = {"app": "payments", "reference": f"booking:{booking['id']}"}
    return [i for i in stripe["payment_intent"] if ours.items() <= i["metadata"].items()]


def refunded(intent: Json, stripe: Objects) -> int:
    """What has arrived with the customer; a pending or failed refund has not."""
    return sum(
        refund["amount"]
        for refund in stripe["refund"]
        if refund["payment_intent"] == intent["id"] and refund["status"] == "succeeded"
    )


def expected_payment(intent: Json, stripe: Objects) -> Json:
    """What GET /stripe/payments has to show of one."""
    returned = refunded(intent, stripe)
    shown = intent["status"]
    if shown == "succeeded" and returned:
        shown = "refunded" if returned == intent["amount_received"] else "partially_refunded"
    elif shown.startswith("requires_") and shown != "requires_capture":
        declined = intent["last_payment_error"] and shown == "requires_payment_method"
        shown = "failed" if declined else "requires_payment"
    return {
        "id": intent["id"],
        "stripe_status": intent["status"],
        "status": shown,
        "amount_cents": intent["amount"],
        "received_cents": intent["amount_received"],
        "refunded_cents": returned,
    }


GRACE = 3 * 86_400


def expected_credits(stripe: Objects) -> dict[str, tuple[int, int]]:
    """By cause, the credits that paid invoices have brought and still stand for, and the second at
    which these end.
    """
    brings = {p["id"]: int(p["metadata"].get("credit_amount", 0)) for p in stripe["product"]}
    lines = list(_billed(stripe))
    return {
        f"invoice:{invoice['id']}:{line['id']}": (
            _kept(brings[_product(line)] * line["quantity"], invoice, stripe),
            min([line["period"]["end"] + GRACE, *_paid_for_later_periods(line, lines)]),
        )
        for invoice, line in lines
        if brings[_product(line)]
    }


def _billed(stripe: Objects) -> Iterator[tuple[Json, Json]]:
    """The lines of plans that were paid for, with their invoices."""
    for invoice in stripe["invoice"]:
        if invoice["status"] == "paid":
            for line in invoice["lines"]["data"]:
                of = line["parent"]["subscription_item_details"]
                if line["amount"] > 0 and not of["proration"]:
                    yield invoice, line


def _product(line: Json) -> Any:
    return line["pricing"]["price_details"]["product"]


def _paid_for_later_periods(line: Json, lines: Iterable[tuple[Json, Json]]) -> Iterator[int]:
    def of(line: Json) -> Any:
        return line["parent"]["subscription_item_details"]["subscription_item"]

    for invoice, other in lines:
        if of(other) == of(line) and other["period"]["start"] > line["period"]["start"]:
            yield invoice["status_transitions"]["paid_at"]


def _kept(credits: int, invoice: Json, stripe: Objects) -> int:
    """What was given back takes its share, rounded in the customer's favour."""
    paying = {
        payment["payment"]["payment_intent"]
        for payment in stripe.get("invoice_payment", ())
        if payment["invoice"] == invoice["id"] and payment["status"] == "paid"
    }
    intents = [intent for intent in stripe["payment_intent"] if intent["id"] in paying]
    if not (received := sum(intent["amount_received"] for intent in intents)):
        return credits
    returned = sum(refunded(intent, stripe) for intent in intents)
    return credits - int(Fraction(returned, received) * credits)


async def differences(
    db: asyncpg.Connection, registry: Registry, stripe: Objects, announced: Iterable[str]
) -> list[str]:
    """Where the mirrors are not what Stripe has: an object that was announced and is not there, one
    that is there and says something else, one that lives at one side only.
    """
    found: list[str] = []
    missing = set(announced)
    for resource in registry.resources:
        living = {object["id"]: object for object in stripe.get(resource.name, ())}
        for row in await db.fetch(f"select * from {resource.relation}"):
            missing.discard(row["id"])
            wanted = _wanted(resource, living.get(row["id"]))
            seen = {name: _plain(name, row[name]) for name in wanted}
            if seen != wanted:
                found.append(f"{row['id']}: mirrored {seen}, at Stripe {wanted}")
    return found + [f"{id} is not mirrored" for id in missing]


def _wanted(resource: Resource, object: Json | None) -> Json:
    if object is None:
        return {"deleted": True}
    wanted = {**resource.read(object), "deleted": False, "phase": resource.phase(object)}
    if resource.name == "checkout.session" and object["status"] == "open":
        del wanted["payment_intent"]  # Stripe announces a session at its end, not its first attempt
    return wanted


def _plain(name: str, value: Any) -> Any:
    written = name in ("metadata", "items", "discounts", "lines") and value is not None
    return orjson.loads(value) if written else value
