"""Findings about the account at Stripe."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from payments.core.errors import Problem
from payments.domains.catalog.sync_file import CatalogFileInvalid, read
from payments.domains.payables import APP
from payments.onboarding import endpoints
from payments.onboarding.doctor.of_database import opened
from payments.onboarding.doctor.of_settings import KEYS
from payments.onboarding.doctor.permissions import lacking
from payments.onboarding.doctor.verdicts import Patient, Verdict, doubtful, well, wrong
from payments.stripe_api.failures import StripeObjectMissing
from payments.sync.account import WrongAccount, compare, identify

SKEW_SECONDS: Final = 60
LOOKUP_KEYS: Final = 10
REGISTER: Final = f"payments setup --url https://your.host{endpoints.ROUTE}"


async def account(patient: Patient) -> Verdict:
    try:
        answer = await patient.stripe.call(lambda c: c.v1.accounts.retrieve_current_async())
    except Problem as exc:
        return wrong(
            exc.detail, fix="STRIPE_SECRET_KEY=…, a key of this account that is not revoked"
        )
    return well(str(answer.object["id"]))


async def charges(patient: Patient) -> Verdict:
    answer = await patient.stripe.call(lambda c: c.v1.accounts.retrieve_current_async())
    if patient.settings.live and not answer.object["charges_enabled"]:
        return wrong(
            "Stripe does not let this account charge yet",
            fix="finish its activation: https://dashboard.stripe.com/account/onboarding",
        )
    return well("may be made" if patient.settings.live else "are tests")


async def stamp(patient: Patient) -> Verdict:
    live = patient.settings.live
    try:
        await compare(opened(patient), await identify(patient.stripe), livemode=live)
    except WrongAccount as exc:
        return wrong(str(exc), fix="DATABASE_URL=…, a database of this account alone")
    return well("the database is of this account and mode")


async def clock(patient: Patient) -> Verdict:
    """Stripe's answers carry its time; signatures are refused when they are 300 s off."""
    answer = await patient.stripe.call(lambda c: c.v1.accounts.retrieve_current_async())
    if answer.date is None:
        return doubtful("Stripe's answer carries no Date", fix="look at the proxy before Stripe")
    there = parsedate_to_datetime(answer.date).astimezone(UTC)
    off = round((patient.clock.now() - there).total_seconds())
    if abs(off) > SKEW_SECONDS:
        late = "ahead of" if off > 0 else "behind"
        return wrong(
            f"this machine is {abs(off)} s {late} Stripe: signatures will be refused",
            fix="timedatectl set-ntp true",
        )
    return well("agrees with Stripe's")


async def permissions(patient: Patient) -> Verdict:
    key = patient.settings.stripe_secret_key
    if key is None or not key.get_secret_value().startswith("rk_"):
        return well("a secret key may do everything; a restricted one (rk_) is safer")
    if missing := await lacking(patient.stripe):
        return wrong(
            f"the restricted key lacks {', '.join(missing)}",
            fix=f"allow them: {KEYS}, edit the restricted key",
        )
    return well("the restricted key may do what this service does")


async def endpoint(patient: Patient) -> Verdict:
    """The endpoint that posts here: enabled, in our version, with what this service follows."""
    wanted = endpoints.followed(patient.registry)
    found = [e for e in await endpoints.endpoints(patient.stripe) if _posts_here(patient, e)]
    if not found:
        return _none(patient)
    best = min(found, key=lambda e: (not e.enabled, len(e.lacks(wanted)), not e.current))
    fix = f"payments webhooks register --url {best.url}"
    if not best.enabled:
        return wrong(f"{best.id} ({best.url}) is disabled", fix=fix)
    if missing := best.lacks(wanted):
        return wrong(f"{best.id} does not send {', '.join(missing)}", fix=fix)
    if not best.current:
        version = best.api_version or "the account's API version"
        return doubtful(f"{best.id} sends {version}: each event costs a fetch", fix=fix)
    return well(f"{best.id} posts to {best.url}")


def _posts_here(patient: Patient, endpoint: endpoints.Endpoint) -> bool:
    if patient.url is not None:
        return endpoint.url == patient.url
    return endpoint.ours or urlsplit(endpoint.url).path.endswith("/stripe/webhook")


def _none(patient: Patient) -> Verdict:
    said = f"no endpoint posts to {patient.url or 'this service'}"
    if patient.settings.environment == "development":
        return doubtful(f"{said}: on a laptop, `payments dev` asks for events", fix=REGISTER)
    return wrong(said, fix=REGISTER)


async def portal(patient: Patient) -> Verdict:
    listed = patient.stripe.every(
        lambda c, params: c.v1.billing_portal.configurations.list_async(params), active=True
    )
    async for found in listed:
        if found["is_default"] or (found["metadata"] or {}).get("app") == APP:
            return well(str(found["id"]))
    return wrong("the customer portal is not configured", fix="payments setup")


async def catalogue(patient: Patient) -> Verdict:
    try:
        keys = [e.key for e in read(patient.catalogue, currency=patient.settings.default_currency)]
    except CatalogFileInvalid as exc:
        return wrong(str(exc), fix="payments doctor --catalog FILE, the one you apply")
    there: set[str] = set()
    for start in range(0, len(keys), LOOKUP_KEYS):
        some = keys[start : start + LOOKUP_KEYS]
        listed = patient.stripe.every(
            lambda c, params: c.v1.prices.list_async(params), lookup_keys=some, active=True
        )
        there |= {price["lookup_key"] async for price in listed}
    if missing := [key for key in keys if key not in there]:
        return wrong(
            f"no price has the lookup key {', '.join(missing)}", fix="payments catalog apply"
        )
    if wrongly := [
        key for key, id in patient.settings.stripe_price.items() if not await _on_sale(patient, id)
    ]:
        variable = f"STRIPE_PRICE_{wrongly[0].upper()}"
        return wrong(f"{variable} names no price on sale", fix=f"{variable}=, without a value")
    return well(f"{len(keys)} prices")


async def _on_sale(patient: Patient, price: str) -> bool:
    try:
        answer = await patient.stripe.call(lambda c: c.v1.prices.retrieve_async(price))
    except StripeObjectMissing:
        return False
    return bool(answer.object["active"])
