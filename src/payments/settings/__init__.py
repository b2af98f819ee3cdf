"""What the environment may say; unsafe values stop the start and name the way out."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    Field,
    ImportString,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from payments.settings.refusals import LIVE_KEYS, TEST_KEYS, exposure_problems, key_problems
from payments.settings.values import (
    Algorithms,
    Environment,
    MailUrl,
    Messages,
    Networks,
    Origins,
    PostgresUrl,
    Prices,
    Template,
    TimeZone,
    listed,
)

__all__ = [
    "LIVE_KEYS", "STALE_KEY", "TEST_KEYS", "Environment", "Settings", "Template", "UnsafeSettings",
    "listed", "load",
]  # fmt: skip


class UnsafeSettings(Exception):
    """The settings do not allow a start; the message says what to set."""


class Settings(BaseSettings):
    """Every setting of both processes, read once from the environment and `.env`; frozen."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        env_nested_delimiter="_",  # STRIPE_PRICE_PREMIUM_SUB is stripe_price["premium_sub"]
        env_nested_max_split=1,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    needs_webhook_secret: ClassVar[bool] = True

    environment: Environment = Field(
        "development", description="staging and production refuse test conveniences"
    )
    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8000, ge=0, le=65535, description="port the API listens on")
    trusted_proxies: Networks | None = Field(
        None, description="comma list of addresses or networks whose X-Forwarded-For is believed"
    )
    rate_limit_per_minute: int = Field(
        1200, ge=0, description="requests of one principal, for one API process; 0 sets no limit"
    )
    rate_limit_anonymous_per_minute: int = Field(
        120, ge=0, description="the same for one address, of requests without a principal"
    )
    request_timeout: float = Field(
        30.0, gt=0, description="seconds until a request is answered with 503 though it goes on"
    )

    database_url: PostgresUrl | None = Field(
        None, description="postgresql://user:password@host/name (PostgreSQL 15 to 18)"
    )
    database_url_listen: PostgresUrl | None = Field(
        None, description="a direct connection for LISTEN when DATABASE_URL is a pooler"
    )
    database_url_sync: SecretStr | None = Field(
        None, description="accepted and ignored: migrations run on DATABASE_URL"
    )
    database_pooler: Literal["session", "transaction"] = Field(
        "session", description="transaction behind PgBouncer in transaction mode"
    )
    database_pool_size: int = Field(10, ge=2, description="connections a process holds at most")

    stripe_secret_key: SecretStr | None = Field(
        None, description="sk_test_… or a restricted rk_…; never leaves the server"
    )
    stripe_publishable_key: str | None = Field(
        None, description="pk_test_…; given to front ends by GET /stripe/config"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="whsec_…; a comma list accepts several endpoints and rotation"
    )
    stripe_webhook_secret_2: SecretStr | None = Field(
        None, description="whsec_… of a second endpoint, as well"
    )
    stripe_connect_webhook_secret: SecretStr | None = Field(
        None, description="whsec_… of an endpoint for connected accounts; their events are kept"
    )
    stripe_price: Prices = Field(
        {}, description="STRIPE_PRICE_<KEY>=price_…: wins over the price with that lookup key"
    )
    stripe_api_base: str | None = Field(
        None, description="another Stripe, the offline one for instance; never in production"
    )
    stripe_api_version: str | None = Field(
        None, description="must be the SDK's own when set: payloads are read in that shape"
    )
    stripe_live_mode: bool | None = Field(None, description="when set, must agree with the key")
    stripe_debug: bool = Field(
        default=False, description="log level debug for Stripe calls; bodies stay redacted"
    )
    stripe_timeout: float = Field(
        10.0, gt=0, description="seconds a call to Stripe may take before it is retried"
    )
    stripe_rate: float = Field(
        20.0,
        gt=0,
        description="fetches a second, for one worker process; Stripe allows 25 in test mode",
    )
    reconcile_days: int = Field(
        3, ge=1, description="how far back the nightly comparison with Stripe reaches"
    )
    reconcile_heal: bool = Field(
        default=True, description="what it finds different is written as Stripe says"
    )

    catch_up_minutes: float = Field(
        5.0, gt=0, description="minutes between two readings of what Stripe may not have delivered"
    )

    secret_key: SecretStr | None = Field(
        None, description="HS256 key that your JWTs are signed with, 32 bytes or more"
    )
    jwks_url: str | None = Field(
        None, description="instead of SECRET_KEY: the key set of your identity provider"
    )
    jwt_algorithms: Algorithms = Field("RS256,ES256", description="algorithms taken with JWKS_URL")
    jwt_audience: str | None = Field(None, description="required audience, when set")
    jwt_issuer: str | None = Field(None, description="required issuer, when set")
    jwt_user_claim: str = Field("sub", description="claim that holds the user's id")
    jwt_email_claim: str = Field("email", description="claim that holds the e-mail address")
    jwt_role_claim: str = Field(
        "role", description="claim that holds the role or roles; a dot descends: realm_access.roles"
    )

    authenticate: ImportString[Any] | None = Field(
        None, description="your own authenticate(request), instead of JWTs: my.module:authenticate"
    )
    payables: Annotated[tuple[ImportString[Any], ...], NoDecode] = Field(
        (), description="comma list of your own payables: my.module:yoga,other:thing"
    )

    frontend_urls: Origins = Field(
        "http://localhost:3000",
        description="comma list: CORS, redirects allowed; the first gives the default return pages",
    )
    privacy_policy_url: str | None = Field(
        None, description="shown in Stripe's customer portal, once `payments setup` has run"
    )
    terms_of_service_url: str | None = Field(
        None, description="shown in Stripe's customer portal, once `payments setup` has run"
    )
    portal_headline: str | None = Field(
        None, max_length=60, description="what Stripe's customer portal says at its top"
    )
    default_currency: str = Field(
        "usd", pattern="^[a-z]{3}$", description="currency of catalogue prices that name none"
    )
    automatic_tax: bool = Field(
        default=False, description="Stripe Tax finds the tax within what is paid on Checkout pages"
    )
    promotion_codes: bool = Field(
        default=False, description="Checkout pages of products and plans take promotion codes"
    )
    time_zone: TimeZone = Field("UTC", description="zone of booking times and of days in reports")

    smtp_url: MailUrl | None = Field(
        None,
        description="smtp://user:password@host:587 (STARTTLS), smtps://…:465; needs MAIL_FROM",
    )
    mail_from: str | None = Field(None, description="sender of mails: Shop <shop@example.com>")
    admin_emails: str = Field("", description="comma list: who gets the mails to the admins")
    apprise_urls: SecretStr | None = Field(
        None, description="services that tell the admins too; needs the extra `notify`"
    )
    messages: Messages = Field(
        ",".join(get_args(Template)), description="which messages are sent; the log has them all"
    )
    effects_since: AwareDatetime | None = Field(
        None,
        description="nobody is told of what was made at Stripe before; empty: the first start",
    )

    retention_bodies_days: int = Field(
        90, ge=1, le=3660, description="days until bodies of events and contents of messages go"
    )
    # Stripe can send an event again for 30 days; without its row it would be a new one.
    retention_events_days: int = Field(
        365, ge=32, le=3660, description="days until events that are done are removed"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line that is written"
    )
    log_format: Literal["console", "json"] = Field("console", description="json for machines")
    metrics_token: SecretStr | None = Field(
        None, description="bearer token that may read /metrics besides admins"
    )
    worker_metrics_port: int | None = Field(
        None, ge=1, le=65535, description="where the worker shows its own metrics, on HOST; to all"
    )

    @field_validator("payables", mode="before")
    @classmethod
    def named(cls, value: Any) -> Any:
        return listed(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def safe(self) -> Self:
        if problems := [*key_problems(self), *exposure_problems(self)]:
            raise ValueError("; ".join(problems))
        return self

    @property
    def live(self) -> bool:
        key = self.stripe_secret_key
        return key is not None and key.get_secret_value().startswith(LIVE_KEYS)

    @property
    def frontends(self) -> tuple[str, ...]:
        return tuple(url.rstrip("/") for url in listed(self.frontend_urls))

    @property
    def proxies(self) -> list[str]:
        return list(listed(self.trusted_proxies or ""))

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Every endpoint secret that may have signed a delivery; empty when none is set."""
        named = (
            self.stripe_webhook_secret,
            self.stripe_webhook_secret_2,
            self.stripe_connect_webhook_secret,
        )
        return listed(",".join(secret.get_secret_value() for secret in named if secret))

    @property
    def admins(self) -> tuple[str, ...]:
        """Addresses of those who run this."""
        return listed(self.admin_emails)

    @property
    def services(self) -> tuple[str, ...]:
        """Apprise's addresses; secrets each."""
        return listed(self.apprise_urls.get_secret_value() if self.apprise_urls else "")

    def price_named(self, key: str) -> str:
        """The price that a variable of the environment holds for a catalogue key, or the key."""
        return self.stripe_price.get(key, key)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


STALE_KEY = timedelta(hours=23)
"""Stripe keeps an idempotency key for at least 24 h; ours is never sent again after this."""


class Unregistered(Settings):
    """The same for what registers the webhook endpoint: its secret is not known before."""

    needs_webhook_secret: ClassVar[bool] = False


def load(kind: type[Settings] = Settings) -> Settings:
    """Read the environment.

    Raises:
        UnsafeSettings: one line for each variable that is missing, malformed or unsafe.
    """
    try:
        return kind()  # pydantic-settings reads the environment
    except ValidationError as exc:
        lines = (
            f"{'.'.join(map(str, error['loc'])).upper() or 'settings'}: {error['msg']}"
            for error in exc.errors(include_input=False, include_url=False)
        )
        raise UnsafeSettings("\n".join(lines).replace("Value error, ", "")) from None
