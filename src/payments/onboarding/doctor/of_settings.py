"""Findings that the settings alone show. What makes a start impossible is refused by themselves."""

from payments.onboarding.doctor.verdicts import Patient, Verdict, doubtful, well, wrong
from payments.settings import LIVE_KEYS, TEST_KEYS
from payments.stripe_api.service import API_VERSION

KEYS = "https://dashboard.stripe.com/apikeys"


async def secret_key(patient: Patient) -> Verdict:
    key = patient.settings.stripe_secret_key
    if key is None:
        return wrong("STRIPE_SECRET_KEY is not set", fix=f"STRIPE_SECRET_KEY=sk_test_… from {KEYS}")
    kind = next(k for k in TEST_KEYS + LIVE_KEYS if key.get_secret_value().startswith(k))
    mode = "live" if patient.settings.live else "test mode"
    return well(f"{kind}…, {mode}, in {patient.settings.environment}")


async def publishable_key(patient: Patient) -> Verdict:
    wanted = "pk_live_" if patient.settings.live else "pk_test_"
    fix = f"STRIPE_PUBLISHABLE_KEY={wanted}… from {KEYS}"
    key = patient.settings.stripe_publishable_key
    if key is None:
        return doubtful("not set: front ends with Stripe's Elements have no key", fix=fix)
    if not key.startswith(wanted):
        return wrong(f"STRIPE_PUBLISHABLE_KEY does not begin with {wanted}", fix=fix)
    return well(f"{wanted}…, the secret key's mode")


async def api_version(patient: Patient) -> Verdict:
    asked = patient.settings.stripe_api_version
    if asked not in (None, API_VERSION):
        return wrong(
            f"STRIPE_API_VERSION is {asked}, the installed SDK speaks {API_VERSION}",
            fix=f"STRIPE_API_VERSION={API_VERSION}",
        )
    return well(API_VERSION)


async def frontends(patient: Patient) -> Verdict:
    if "frontend_urls" not in patient.settings.model_fields_set:
        return doubtful(
            f"FRONTEND_URLS is not set: only {patient.settings.frontend_urls} may be returned to",
            fix="FRONTEND_URLS=https://your.shop",
        )
    return well(", ".join(patient.settings.frontends))


async def webhook_secrets(patient: Patient) -> Verdict:
    secrets = patient.settings.webhook_secrets
    if not secrets:
        laptop = patient.settings.environment == "development"
        return (doubtful if laptop else wrong)(
            "none: only `payments dev` and `payments worker --poll-events` hear of payments",
            fix="payments setup --url https://your.host/api/v1/stripe/webhook",
        )
    if odd := [n for n, secret in enumerate(secrets, 1) if not secret.startswith("whsec_")]:
        return wrong(
            f"number {', '.join(map(str, odd))} of {len(secrets)} does not begin with whsec_",
            fix="STRIPE_WEBHOOK_SECRET=whsec_…, as the endpoint's page shows it",
        )
    return well(f"{len(secrets)} set")
