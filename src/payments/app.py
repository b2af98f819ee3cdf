"""The API process: `create_app()`, and `app` for `uvicorn payments.app:app`."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import httpx2
import structlog
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from payments import __version__, probes
from payments.context import Context, open_context
from payments.core import errors, heap, telemetry
from payments.core.body_limit import BodyLimit
from payments.core.db import Clock, Database
from payments.core.last_resort import LastResort
from payments.core.principal import Authenticate, JWTAuthenticator
from payments.core.rate_limit import RateLimit, RateLimited
from payments.core.security_headers import SecurityHeaders
from payments.core.telemetry import Observed
from payments.core.timeouts import Timeout, TookTooLong
from payments.domains import assemble, webhook
from payments.domains.payables import Payable
from payments.settings import Settings, load
from payments.sync.account import WrongAccount

log = structlog.get_logger(__name__)

ABOUT = """Bookings get paid through Stripe. Amounts are integers in minor units; lists are newest
first, `starting_after` turns the page; errors are RFC 9457 problems with a stable `code`."""

# Ours first, then the addresses that the documents of other systems tell Stripe to post to; each
# with a slash at its end too, for Stripe follows no redirect.
WEBHOOKS = tuple(
    f"{path}{slash}"
    for slash in ("", "/")
    for path in (
        "/api/v1/stripe/webhook",
        "/api/stripe/webhook",
        "/api/payments/webhook",
        "/stripe/webhook",
    )
)

# Stripe is never limited into retries, nor an orchestrator into restarts.
UNLIMITED = (*WEBHOOKS, "/livez", "/readyz")
DOCS = "/docs"


def create_app(  # noqa: PLR0913 - each is one thing an adopter may bring
    settings: Settings | None = None,
    *,
    authenticate: Authenticate | None = None,
    payables: Sequence[Payable] = (),
    routers: Sequence[APIRouter] = (),
    clock: Clock | None = None,
    network: httpx2.AsyncBaseTransport | None = None,
    database: Database | None = None,
) -> FastAPI:
    """Build the API.

    Args:
        settings: read from the environment when left out.
        authenticate: your own way from a request to a principal, instead of AUTHENTICATE or JWT;
            asked once a request, before its body is read.
        payables: your own things that can be paid for, beside bookings and PAYABLES. The worker
            knows those of PAYABLES alone.
        routers: further routes, under no prefix.
        clock: the time that business rules see.
        network: replaces the way to Stripe, in tests.
        database: a pool that you keep open, instead of one of our own.

    Raises:
        UnsafeSettings: a variable is missing, malformed or unsafe for this environment.
    """
    settings = settings or load()
    telemetry.configure(
        level=settings.log_level, fmt=settings.log_format, stripe_debug=settings.stripe_debug
    )
    slices = assemble([*settings.payables, *payables])
    parts = partial(open_context, clock=clock, network=network, database=database)
    app = _application(partial(parts, settings, slices.registry))
    app.state.payables = slices.payables
    app.state.authenticate = authenticate or settings.authenticate or JWTAuthenticator(settings)
    errors.install(app)
    errors.documented(app)
    _mount(app, slices.routers, routers)
    _wrap(app, settings)
    return app


def _application(opened: Callable[[], AbstractAsyncContextManager[Context]]) -> FastAPI:
    """An application that holds its context open while it runs. Its documentation pages bring their
    own assets: no CDN.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as ctx:
            await greet(app, ctx)
            app.state.context = ctx
            yield

    return FastAPIOffline(
        title="payments",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=DOCS,
        redoc_url=None,
        swagger_ui_parameters={"persistAuthorization": True},
    )


def _mount(app: FastAPI, slices: Sequence[APIRouter], further: Sequence[APIRouter]) -> None:
    """The slices under /api/v1 and, unlisted, under /api; the rest under no prefix."""
    for router in slices:
        limits = () if router is webhook.router else (RateLimited,)
        anywhere = errors.problems(errors.Unavailable, TookTooLong, *limits)
        app.include_router(router, prefix="/api/v1", responses=anywhere)
        app.include_router(router, prefix="/api", include_in_schema=False)
    for path in WEBHOOKS:
        app.add_api_route(path, webhook.receive_webhook, methods=["POST"], include_in_schema=False)
    for router in (probes.router, *further):
        app.include_router(router)


async def greet(app: FastAPI, ctx: Context) -> None:
    """Look at the database and the account. What is only away, or not migrated yet, is a
    warning: /readyz says so, and traffic comes when it is there.

    Raises:
        WrongAccount: this database mirrors another Stripe account.
    """
    database = await probes.database(ctx)
    if database.state != "ok":
        log.warning("not ready", reason=database.detail)
        return
    await ctx.db.check()
    stripe = await probes.stripe_lately(app, ctx, patience=probes.START_PATIENCE_SECONDS)
    if stripe.state == "failed":
        raise WrongAccount(stripe.detail)
    if stripe.state == "warning":
        log.warning("not ready", reason=stripe.detail)


def _guarded(app: ASGIApp, *, seconds: float) -> ASGIApp:
    """What limits every request, whichever way it takes: its body, its time, its crashes."""
    return Timeout(BodyLimit(LastResort(app)), seconds)


def _wrap(app: FastAPI, settings: Settings) -> None:
    local = (
        r"http://(localhost|127\.0\.0\.1)(:\d+)?" if settings.environment == "development" else None
    )
    guarded = partial(_guarded, seconds=settings.request_timeout)
    app.add_middleware(guarded)
    app.add_middleware(
        RateLimit,
        principals=settings.rate_limit_per_minute,
        addresses=settings.rate_limit_anonymous_per_minute,
        exempt=UNLIMITED,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.frontends),
        allow_origin_regex=local,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    app.add_middleware(webhook.Doorway, paths=WEBHOOKS, guarded=guarded)
    app.add_middleware(
        SecurityHeaders,
        https_only=settings.environment != "development",
        scripted=(DOCS, f"{DOCS}/oauth2-redirect"),
    )
    app.add_middleware(Observed)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies)
    app.add_middleware(CorrelationIdMiddleware)


def __getattr__(name: str) -> Any:
    """`uvicorn payments.app:app` builds the application when it is asked for, not at import."""
    if name == "app":
        app = create_app()
        heap.settle()
        return app
    raise AttributeError(name)
