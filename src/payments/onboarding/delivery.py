"""`payments webhooks test`: a signed event of our own, posted to our own address."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import orjson
from sqlalchemy import select

from payments.context import Context
from payments.domains.webhook import TEST_EVENT
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
            event = f"evt_test_{uuid4().hex}"
            refused = await _post(http, url, event, secret, live=ctx.settings.live)
            failure = refused or await _lost(ctx, event)
            yield Trial(fingerprint(secret), event, failure)


async def _post(
    http: httpx2.AsyncClient, url: str, id: str, secret: str, *, live: bool
) -> str | None:
    body = orjson.dumps(
        {
            "id": id,
            "object": "event",
            "type": TEST_EVENT,
            "api_version": API_VERSION,
            "livemode": live,
            "data": {"object": {}},
        }
    ).decode()
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
