"""Logs without secrets, request ids, and the metrics that /metrics shows."""

import logging
import re
import sys
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any, Final

import structlog
from asgi_correlation_id import correlation_id
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HTTP_SECONDS = Histogram(
    "payments_http_seconds", "Requests by route and status", ("method", "route", "status")
)
STRIPE_SECONDS = Histogram(
    "payments_stripe_seconds", "Calls to Stripe by outcome", ("method", "outcome")
)
WEBHOOKS = Counter("payments_webhooks_total", "Deliveries by what became of them", ("outcome",))
EVENTS = Counter("payments_events_total", "Inbox rows by what became of them", ("outcome",))
MESSAGES = Counter(
    "payments_messages_total", "Messages by what became of them", ("template", "outcome")
)
SECRET_USED = Gauge(
    "payments_webhook_secret_used_timestamp_seconds",
    "When a webhook secret last verified a delivery, by its fingerprint",
    ("secret",),
)
KEY_ACCEPTED = Gauge(
    "payments_stripe_key_accepted", "1 while Stripe accepts this service's key, 0 while it does not"
)
MISSED_DELIVERIES = Counter(
    "payments_missed_deliveries_total", "Events that Stripe did not deliver, found by asking"
)
EVENTS_READ_UNTIL = Gauge(
    "payments_events_read_until_timestamp_seconds", "Up to when Stripe's events were asked for"
)
DRIFT = Gauge(
    "payments_drift_rows",
    "Rows that the last complete reconciliation left different from Stripe",
    ("resource",),
)
RECONCILED = Gauge(
    "payments_reconciled_timestamp_seconds", "When the last complete reconciliation ended"
)
CREDITS = Counter("payments_credits_total", "Credits that were moved, by kind", ("kind",))
CREDIT_SHORTFALLS = Counter(
    "payments_credit_shortfalls_total", "Attempts to spend more credits than there were"
)
ALERTS = Counter("payments_alerts_total", "Things a person should look at", ("kind",))

SECRET_VALUE: Final = re.compile(
    r"\b((?:sk|rk)_(?:test|live)_|whsec_)\w+|\b(\w+_secret_)\w+|(?i:(bearer\s+))[\w.~+/=-]+"
    r"|(://[^:/@\s]*:)[^/\s]+(?=@)"  # a password in an address
)
SECRET_NAMES: Final = frozenset(
    {
        "authorization",
        "client_secret",
        "password",
        "secret",
        "secret_key",
        "token",
        "stripe-signature",
    }
)

NOISY: Final = (
    "uvicorn.access",
    "httpx2",
    "httpcore2",
    "asyncio",
    "apprise",
    "alembic.runtime.migration",
)
"""Libraries that tell of each request or connection."""

LOGGER: Final = logging.getLogger(__name__)
log = structlog.get_logger(__name__)


def mask(value: Any) -> Any:
    """The value with keys, webhook and client secrets, tokens and passwords blotted out."""
    if isinstance(value, str):
        return SECRET_VALUE.sub(lambda m: f"{m[1] or m[2] or m[3] or m[4]}***", value)
    if isinstance(value, dict):
        return {k: "***" if str(k).lower() in SECRET_NAMES else mask(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item) for item in value]
    return value if value is None or isinstance(value, int | float) else mask(str(value))


def _redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    redacted: MutableMapping[str, Any] = mask(dict(line))
    return redacted


def _with_request_id(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (id := correlation_id.get()) is not None:
        line["request_id"] = id
    return line


def configure(*, level: str, fmt: str, stripe_debug: bool = False) -> None:
    """Send every log line, ours and the libraries', through one redacting chain to stderr."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request_id,
    ]
    # A traceback becomes text first, so that it is redacted too; rich ones would show variables.
    tail: list[Any] = [structlog.processors.format_exc_info, _redact]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if fmt == "json" else console
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,  # first: a line that nobody reads costs nothing
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *tail,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("stripe").setLevel("DEBUG" if stripe_debug else "WARNING")
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel("WARNING")


def alert(kind: str, message: str, **facts: Any) -> None:
    """Something a person should look at: an error line and a counter to alert on."""
    ALERTS.labels(kind=kind).inc()
    log.error(message, alert=kind, **facts)


def _template(scope: Scope) -> str:
    """`/api/v1/bookings/{id}` for a request that a route has taken."""
    own = getattr(scope.get("route"), "path", None)
    if own is None:
        return "unmatched"
    return str(scope["path"].removesuffix(own.format(**scope["path_params"])) + own)


class Observed:
    """Pure ASGI middleware: one log line and one measurement a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            seconds = perf_counter() - started
            route = _template(scope)
            HTTP_SECONDS.labels(scope["method"], route, status).observe(seconds)
            if LOGGER.isEnabledFor(logging.DEBUG):
                log.debug(
                    "request",
                    method=scope["method"],
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                )
