"""`StripeService`: calls Stripe and verifies what Stripe sends; it knows no table."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from time import time
from typing import Any, Final, Protocol, TypeVar, get_args, get_type_hints

import httpx2
import orjson
import stamina
import stripe
import structlog

from payments.core.db import in_transaction
from payments.core.errors import WebhookRejected
from payments.settings import Settings, UnsafeSettings
from payments.stripe_api import transport
from payments.stripe_api.analytics import PaymentAnalytics, summarise
from payments.stripe_api.exchanges import Exchange
from payments.stripe_api.failures import IN_FLIGHT, code_of, reported
from payments.stripe_api.refusals import Refusals
from payments.stripe_api.signatures import TOLERANCE, signer

log = structlog.get_logger(__name__)

T = TypeVar("T", bound=stripe.StripeObject)
Client = stripe.StripeClient
RequestOptions = stripe.RequestOptions

API_VERSION: Final[str] = stripe.api_version
EVENT_TYPES: Final[frozenset[str]] = frozenset(
    name
    for part in get_args(get_type_hints(stripe.Event)["type"])
    for name in (get_args(part) or (part,))
    if isinstance(name, str)
)


class ListCall(Protocol):
    """The SDK's list call of one kind of object."""

    def __call__(self, client: Client, /, params: dict[str, Any]) -> Awaitable[Any]: ...


class WriteCall(Protocol):
    """An SDK call that writes, to be sent under a key."""

    def __call__(self, client: Client, /, options: RequestOptions) -> Awaitable[Any]: ...


# It would write a file into HOME, and crash where there is none.
stripe.enable_telemetry = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe said to a call: the object as plain JSON, and whether it is only a replay of an
    earlier answer (then it is no observation of the present). `date` is Stripe's clock, as HTTP
    writes it.
    """

    object: dict[str, Any]
    replayed: bool
    request_id: str | None
    date: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified webhook delivery: the envelope, the bytes that were signed, and the fingerprint of
    the secret that signed them; None for an event that Stripe was asked for.
    """

    event: dict[str, Any]
    body: bytes
    secret: str | None = None


def options(key: str) -> RequestOptions:
    """Every write to Stripe carries a key that derives from a row of ours."""
    return {"idempotency_key": key}


class StripeService:
    """Minimal wrapper around the Stripe SDK.

    We keep: calling Stripe with its errors as ours, verifying deliveries, applying one event.
    We leave to Stripe: all but basic analytics, customer data, dispute work, invoicing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        process: Callable[[dict[str, Any]], Awaitable[None]],
        network: httpx2.AsyncBaseTransport | None = None,
        note: Callable[[Exchange], None] | None = None,
    ) -> None:
        if settings.stripe_api_version not in (None, API_VERSION):
            raise UnsafeSettings(
                f"STRIPE_API_VERSION is {settings.stripe_api_version}, the installed SDK speaks "
                f"{API_VERSION}: leave it empty, or install the SDK of that version"
            )
        key = settings.stripe_secret_key
        base = settings.stripe_api_base
        self._process = process
        self.refusals = Refusals()
        self._secrets: Sequence[str] = settings.webhook_secrets
        self._client = stripe.StripeClient(
            key.get_secret_value() if key else "sk_test_not_configured",
            http_client=transport.Transport(
                transport.client(timeout=settings.stripe_timeout, transport=network), note=note
            ),
            max_network_retries=2,
            base_addresses={"api": base, "files": base} if base else {},
        )

    async def call(self, request: Callable[[Client], Awaitable[T]]) -> Answer:
        """Run one SDK call: `call(lambda c: c.v1.customers.retrieve_async(id))`.

        The SDK retries network errors, 409 and 5xx; a 429 and a key in use are retried here, at
        most twice. A request that writes carries `options(key)`, so that each try is the same one.

        Raises:
            Problem: Stripe's error as one of ours, with Stripe's request id.
            RuntimeError: a database transaction is open; locks must not wait for a network.
        """
        if in_transaction():
            raise RuntimeError("Stripe is never called inside a database transaction")
        try:
            async for attempt in stamina.retry_context(
                on=_worth_repeating, attempts=3, wait_initial=0.25, wait_max=2.0, timeout=10
            ):
                with attempt:
                    found = await request(self._client)
        except stripe.StripeError as exc:
            raise reported(exc, self.refusals) from exc
        self.refusals.accepted()
        last = found.last_response
        headers = last.headers if last else {}
        return Answer(
            object=found.to_dict(for_json=True),
            replayed=bool(headers.get("Idempotent-Replayed")),
            request_id=last.request_id if last else None,
            date=headers.get("Date"),
        )

    async def every(self, pages: ListCall, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """Each object of a list, newest first, page by page."""
        async for page in self.pages(pages, **params):
            for found in page:
                yield found

    async def pages(self, list: ListCall, **params: Any) -> AsyncIterator[list[dict[str, Any]]]:
        """The objects of a list, newest first, one request a page; asked for as they are wanted."""
        params = {"limit": 100, **params}
        while True:
            page = (await self.call(partial(list, params=params))).object
            yield page["data"]
            if not page["has_more"]:
                return
            params = {**params, "starting_after": page["data"][-1]["id"]}

    async def insist(
        self, request: WriteCall, *, key: str, still: Callable[[Answer], Awaitable[bool]]
    ) -> Answer:
        """A write whose key says what is wanted, so that a repetition does it once. Stripe replays
        an answer for a day, also when the object has changed since; then the same wish is sent
        again, under the next key.

        Args:
            request: the call that writes.
            key: the same for the same wish.
            still: whether what a replayed answer did has lasted.
        """
        attempt = 0
        while True:
            answer = await self.call(partial(request, options=options(f"{key}:{attempt}")))
            if not answer.replayed or await still(answer):
                return answer
            attempt += 1

    def receive(self, body: bytes, header: str | None) -> Delivery:
        """Verify a delivery against every configured secret, 300 s into the past and the future.

        Raises:
            WebhookRejected: missing, malformed, wrong or stale signature, or signed bytes that are
                no event; nothing else, whatever the sender sends.
        """
        if not header:
            raise WebhookRejected("the Stripe-Signature header is missing")
        try:
            text = body.decode()
            stamp = int(dict(part.split("=", 1) for part in header.split(","))["t"])
        except (UnicodeDecodeError, ValueError, KeyError) as exc:
            raise WebhookRejected("the signature header or the body is malformed") from exc
        if stamp > time() + TOLERANCE:
            raise WebhookRejected("the signature's timestamp lies in the future")
        secret = signer(text, header, self._secrets) if header.isascii() else None
        if secret is None:
            raise WebhookRejected("no configured secret has signed this body, or it is stale")
        return Delivery(event=_event(body), body=body, secret=secret)

    async def process_webhook_event(self, event: dict[str, Any]) -> None:
        """Apply one event now, in the caller, by the worker's own function. The webhook route does
        not use it: it stores the event and answers.
        """
        await self._process(event)

    async def get_payment_analytics(
        self, start_date: datetime, end_date: datetime
    ) -> PaymentAnalytics:
        """What came in and went out from `start_date` on, before `end_date`, by Stripe's balance
        transactions. Both carry a zone. For more, Stripe's dashboard has the better pages.
        """
        window = {"gte": ceil(start_date.timestamp()), "lt": ceil(end_date.timestamp())}
        transactions = self.every(
            lambda c, params: c.v1.balance_transactions.list_async(params),
            created=window,
            expand=["data.source"],
        )
        return await summarise(transactions, start=start_date, end=end_date)

    async def aclose(self) -> None:
        http = self._client._requestor._client  # noqa: SLF001 - the SDK has no public way to close
        if http is not None:
            await http.close_async()  # type: ignore[no-untyped-call]  # the SDK's own gap


def _worth_repeating(exc: Exception) -> bool:
    return isinstance(exc, stripe.RateLimitError) or (
        isinstance(exc, stripe.APIError) and code_of(exc) == IN_FLIGHT
    )


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise WebhookRejected("the signed body is not JSON") from exc
    if not (isinstance(event, dict) and _word(event.get("id")) and _word(event.get("type"))):
        raise WebhookRejected("the signed body is not an event: it needs an id and a type")
    return event


def _word(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value)
