"""The webhook endpoint at Stripe: registered with what this service follows, in its version."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from payments.core.errors import Invalid
from payments.domains.payables import APP
from payments.stripe_api.failures import StripeObjectMissing
from payments.stripe_api.service import API_VERSION, EVENT_TYPES, Answer, StripeService
from payments.sync.resources import Registry

ROUTE: Final = "/api/v1/stripe/webhook"

MISNAMED: Final = {
    "payment_intent.failed": "payment_intent.payment_failed",
    "charge.created": "charge.succeeded",
    "invoice.payment_paid": "invoice.paid",
    "refund.succeeded": "refund.updated",
    "checkout.session.created": "checkout.session.completed",
}
"""Names that are widely believed in, and what Stripe sends instead."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as Stripe has it; it never shows a secret again."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: frozenset[str]
    ours: bool

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Endpoint":
        return cls(
            id=found["id"],
            url=found["url"],
            enabled=found["status"] == "enabled",
            api_version=found["api_version"],
            events=frozenset(found["enabled_events"]),
            ours=(found["metadata"] or {}).get("app") == APP,
        )

    def lacks(self, wanted: Collection[str]) -> list[str]:
        return [] if "*" in self.events else sorted(set(wanted) - self.events)

    def differences(self, wanted: Collection[str]) -> list[str]:
        """What registering it again would change, in words."""
        lacking, further = self.lacks(wanted), sorted(self.events - set(wanted))
        found = {
            "is disabled": not self.enabled,
            f"has API version {self.api_version or 'of the account'}": not self.current,
            f"lacks {', '.join(lacking)}": lacking,
            f"also sends {', '.join(further)}": further,
        }
        return [words for words, true in found.items() if true]

    @property
    def current(self) -> bool:
        return self.api_version == API_VERSION


@dataclass(frozen=True, slots=True)
class Registered:
    """What was done: created, updated or unchanged. `secret` is known only after a creation;
    `outdated` are endpoints of the same address in other API versions.
    """

    id: str
    done: str
    secret: str | None = None
    outdated: tuple[str, ...] = ()


def followed(registry: Registry, also: Iterable[str] = ()) -> list[str]:
    """The events to ask for: all that this service follows, and others that are only kept.

    Raises:
        Invalid: Stripe sends no such event; the message names the right one.
    """
    for name in also:
        if name not in EVENT_TYPES:
            meant = [MISNAMED[name]] if name in MISNAMED else get_close_matches(name, EVENT_TYPES)
            hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
            raise Invalid(f"Stripe sends no event {name}{hint}")
    return sorted({*registry.by_event, *also})


def checked(url: str, *, live: bool) -> str:
    """An address that Stripe can post to.

    Raises:
        Invalid: it is none, and what to give instead.
    """
    parts = urlsplit(url)
    schemes = ("https",) if live else ("https", "http")
    if parts.scheme not in schemes or not parts.hostname or not parts.path.strip("/"):
        raise Invalid(f"url: give the whole address, https://your.host{ROUTE}")
    return url


async def endpoints(stripe: StripeService) -> list[Endpoint]:
    listed = stripe.every(lambda c, params: c.v1.webhook_endpoints.list_async(params))
    return [Endpoint.of(found) async for found in listed]


async def register(stripe: StripeService, *, url: str, events: list[str]) -> Registered:
    """Make one endpoint of this address send exactly these events in this service's API version.

    A version cannot be changed: a new endpoint is made beside one of another version, so that no
    event is missed while its secret is put in place.
    """
    at_url = [endpoint for endpoint in await endpoints(stripe) if endpoint.url == url]
    outdated = tuple(endpoint.id for endpoint in at_url if not endpoint.current)
    existing = next((endpoint for endpoint in at_url if endpoint.current), None)
    if existing is None:
        id, secret = await _create(stripe, url, events)
        return Registered(id, "created", secret, outdated)
    if not existing.differences(events):
        return Registered(existing.id, "unchanged", outdated=outdated)
    await _update(stripe, existing.id, events)
    return Registered(existing.id, "updated", outdated=outdated)


async def _create(stripe: StripeService, url: str, events: list[str]) -> tuple[str, str]:
    async def exists(answer: Answer) -> bool:
        return await _look(stripe, answer.object["id"]) is not None

    answer = await stripe.insist(
        lambda c, options: c.v1.webhook_endpoints.create_async(
            {
                "url": url,
                "enabled_events": events,
                "api_version": API_VERSION,
                "description": "payments",
                "metadata": {"app": APP},
            },
            options,
        ),
        key=_key("create", url, events),
        still=exists,
    )
    return answer.object["id"], answer.object["secret"]


async def _update(stripe: StripeService, id: str, events: list[str]) -> None:
    async def holds(_: Answer) -> bool:
        found = await _look(stripe, id)
        return found is not None and not found.differences(events)

    await stripe.insist(
        lambda c, options: c.v1.webhook_endpoints.update_async(
            id,
            {"enabled_events": events, "disabled": False},
            options,
        ),
        key=_key("update", id, events),
        still=holds,
    )


async def _look(stripe: StripeService, id: str) -> Endpoint | None:
    try:
        answer = await stripe.call(lambda c: c.v1.webhook_endpoints.retrieve_async(id))
    except StripeObjectMissing:
        return None
    return Endpoint.of(answer.object)


def _key(what: str, name: str, events: list[str]) -> str:
    digest = hashlib.sha256(repr((name, events, API_VERSION)).encode()).hexdigest()[:32]
    return f"webhook:{what}:{digest}"
