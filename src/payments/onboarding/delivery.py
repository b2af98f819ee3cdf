"""`payments webhooks test`: signed events of our own, posted to our own address."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import orjson
from sqlalchemy import select

from payments.context import Context
from payments.domains.catalog.tables import PRODUCT, Product
from payments.domains.webhook import TEST_EVENT, TRIAL
from payments.onboarding.arrival import arrival
from payments.stripe_api.service import API_VERSION
from payments.stripe_api.signatures import fingerprint, sign
from payments.sync.inbox import StripeEvent


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of an event signed with one secret; `failure` says what to do."""

    secret: str
    event: str
    failure: str | None = None


async def try_secrets(ctx: Context, url: str) -> AsyncIterator[Trial]:
    """Post one event for each configured secret, and look for it in the database."""
    async with httpx2.AsyncClient(timeout=10) as http:
        for secret in ctx.settings.webhook_secrets:
            event = _event(TEST_EVENT, {}, live=ctx.settings.live)
            refused = await _post(http, url, event, secret)
            failure = refused or await _lost(ctx, event["id"])
            yield Trial(fingerprint(secret), event["id"], failure)


async def try_worker(ctx: Context, url: str, patience: timedelta) -> Trial:
    """Post an event that is followed, and wait until a worker has applied it: it says that a
    product of the catalogue may have changed, so that product is fetched once more.
    """
    secret = ctx.settings.webhook_secrets[0]
    async with ctx.db.transaction() as tx:
        newest = select(Product.id).where(~Product.deleted).order_by(Product.created_at.desc())
        product = (await tx.execute(newest.limit(1))).scalar_one_or_none()
    if product is None:
        advice = "there is no product yet that could be fetched: run `payments catalog apply`"
        return Trial(fingerprint(secret), "-", advice)
    said = {"id": product, "object": PRODUCT.name}
    event = _event("product.updated", said, live=ctx.settings.live)
    async with httpx2.AsyncClient(timeout=10) as http:
        failure = await _post(http, url, event, secret)
    failure = failure or await _unfinished(ctx, event["id"], patience)
    return Trial(fingerprint(secret), event["id"], failure)


def _event(type: str, object: dict[str, Any], *, live: bool) -> dict[str, Any]:
    return {
        "id": f"{TRIAL}{uuid4().hex}",
        "object": "event",
        "type": type,
        "api_version": API_VERSION,
        "livemode": live,
        "data": {"object": object},
    }


async def _post(
    http: httpx2.AsyncClient, url: str, event: dict[str, Any], secret: str
) -> str | None:
    body = orjson.dumps(event).decode()
    try:
        answer = await http.post(
            url, content=body, headers={"Stripe-Signature": sign(body, secret)}
        )
    except httpx2.HTTPError as exc:
        return (
            f"{url} does not answer ({type(exc).__name__}): start `payments serve`, or name --url"
        )
    if answer.status_code == httpx2.codes.BAD_REQUEST:
        return "the service has not verified the signature: restart it with this secret"
    if not answer.is_success:
        return f"{url} answers {answer.status_code}: is it the address of the webhook route?"
    return None


async def _lost(ctx: Context, event: str) -> str | None:
    query = select(StripeEvent.id).where(StripeEvent.id == event)
    async with ctx.db.transaction() as tx:
        if (await tx.execute(query)).first() is not None:
            return None
    return "it was accepted, but is not in this database: the service uses another DATABASE_URL"


async def _unfinished(ctx: Context, event: str, patience: timedelta) -> str | None:
    seen = await arrival(ctx, patience, StripeEvent.id == event)
    if seen is None:
        return await _lost(ctx, event)
    if seen.outcome == "applied":
        return None
    return f"it is stored, and no worker has applied it within {patience.total_seconds():.0f} s" + (
        f": {seen.error}" if seen.error else "; start `payments worker`"
    )
