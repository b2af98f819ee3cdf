"""Which settings are refused where: keys that contradict, and what a server must not lack."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from payments.settings import Settings

TEST_KEYS: Final = ("sk_test_", "rk_test_")
LIVE_KEYS: Final = ("sk_live_", "rk_live_")
SANDBOX_KEY: Final = "sk_test_sandbox"
EXAMPLE_PASSWORD: Final = "password"  # noqa: S105 - the one in .env.example, which is no secret
MIN_SECRET_BYTES: Final = 32  # RFC 7518 §3.2: an HS256 key is at least as long as its hash


def key_problems(settings: "Settings") -> list[str]:
    """Keys that contradict the environment or each other."""
    found = []
    key = settings.stripe_secret_key.get_secret_value() if settings.stripe_secret_key else ""
    if key and not key.startswith(TEST_KEYS + LIVE_KEYS):
        found.append("STRIPE_SECRET_KEY must start with sk_test_, rk_test_, sk_live_ or rk_live_")
    if settings.environment == "development" and key.startswith(LIVE_KEYS):
        found.append("development refuses a live Stripe key: use a test key or set ENVIRONMENT")
    if settings.environment == "production" and key.startswith(TEST_KEYS):
        found.append("production refuses a test Stripe key: set a live STRIPE_SECRET_KEY")
    if key and settings.stripe_live_mode not in (None, settings.live):
        found.append("STRIPE_LIVE_MODE contradicts STRIPE_SECRET_KEY: drop it or change the key")
    if settings.smtp_url and not settings.mail_from:
        found.append("SMTP_URL needs MAIL_FROM, the sender: Shop <shop@example.com>")
    own = settings.secret_key.get_secret_value().encode() if settings.secret_key else None
    if own is not None and len(own) < MIN_SECRET_BYTES:
        found.append("SECRET_KEY is shorter than 32 bytes: try `openssl rand -hex 32`")
    return found


def exposure_problems(settings: "Settings") -> list[str]:
    """What a server that others can reach must have, and must not be."""
    if settings.environment == "development":
        return []
    required = {
        "DATABASE_URL": settings.database_url,
        "STRIPE_SECRET_KEY": settings.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": settings.webhook_secrets or not settings.needs_webhook_secret,
        "SECRET_KEY or JWKS_URL": settings.secret_key or settings.jwks_url or settings.authenticate,
    }
    found = [
        f"{settings.environment} needs {name}" for name, value in required.items() if not value
    ]
    found += _default_problems(settings)
    insecure = [url for url in settings.frontends if urlsplit(url).scheme != "https"]
    if insecure:
        found.append(
            f"FRONTEND_URLS must be https in {settings.environment}: {', '.join(insecure)}"
        )
    return found


def _default_problems(settings: "Settings") -> list[str]:
    """What belongs to the development stack, or stands in the example for all to read."""
    found, key, database = [], settings.stripe_secret_key, settings.database_url
    if settings.stripe_api_base:
        found.append(
            f"{settings.environment} refuses STRIPE_API_BASE: it would talk to another Stripe"
        )
    if key and key.get_secret_value() == SANDBOX_KEY:
        found.append("STRIPE_SECRET_KEY is the offline Stripe's: set one of your own account")
    if database and urlsplit(database.get_secret_value()).password == EXAMPLE_PASSWORD:
        found.append("DATABASE_URL has the password of the example: choose another")
    return found
