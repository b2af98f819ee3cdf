"""One look after another; what cannot be looked at without a database or a Stripe is left out."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from payments.core.errors import Problem
from payments.core.telemetry import mask
from payments.onboarding.doctor import of_database, of_settings, of_stripe
from payments.onboarding.doctor.verdicts import Finding, Patient, Verdict, doubtful
from payments.settings import UnsafeSettings


@dataclass(frozen=True, slots=True)
class Look:
    """How one topic is looked at, and which other topics must be well for that."""

    topic: str
    at: Callable[[Patient], Awaitable[Verdict]]
    needs: frozenset[str] = frozenset()


def needing(*topics: str) -> frozenset[str]:
    return frozenset(topics)


LOOKS: Final = (
    Look("Secret key", of_settings.secret_key),
    Look("Publishable key", of_settings.publishable_key),
    Look("API version", of_settings.api_version),
    Look("Front ends", of_settings.frontends),
    Look("Webhook secrets", of_settings.webhook_secrets),
    Look("Database", of_database.server),
    Look("Migrations", of_database.schema, needing("Database")),
    Look("Pooler", of_database.pooler, needing("Database")),
    Look("Deliveries", of_database.deliveries, needing("Migrations", "Webhook secrets")),
    Look("Account", of_stripe.account, needing("Secret key")),
    Look("Charges", of_stripe.charges, needing("Account")),
    Look("Stamp", of_stripe.stamp, needing("Account", "Migrations")),
    Look("Clock", of_stripe.clock, needing("Account")),
    Look("Permissions", of_stripe.permissions, needing("Account")),
    Look("Webhook endpoint", of_stripe.endpoint, needing("Account")),
    Look("Customer portal", of_stripe.portal, needing("Account")),
    Look("Catalogue", of_stripe.catalogue, needing("Account")),
)


async def examine(patient: Patient) -> list[Finding]:
    findings: list[Finding] = []
    healthy: set[str] = set()
    for look in LOOKS:
        if not look.needs <= healthy:
            continue
        verdict = await _look(look, patient)
        if verdict.state == "ok":
            healthy.add(look.topic)
        fix = mask(verdict.fix)
        findings.append(Finding(look.topic, verdict.state, mask(verdict.said), fix))
    return findings


async def _look(look: Look, patient: Patient) -> Verdict:
    try:
        return await look.at(patient)
    except Exception as exc:  # noqa: BLE001 - what hinders one look hinders no other
        reason = exc.detail if isinstance(exc, Problem) else type(exc).__name__
        return doubtful(f"cannot be looked at: {reason}", fix="mend this, then `payments doctor`")


def refused(refusal: UnsafeSettings) -> list[Finding]:
    """The settings' own refusals: with these there is nothing to look at yet."""
    lines = re.split(r"\n|; ", str(refusal).removeprefix("settings: "))
    return [Finding("Settings", "failed", mask(line), _variable(line)) for line in lines]


def _variable(refusal: str) -> str:
    named = re.findall(r"\b[A-Z][A-Z_0-9]{3,}\b", refusal)
    return f"{named[0]}=…, as .env.example explains" if named else "see .env.example"
