"""/livez, /readyz and /metrics: what an orchestrator and a monitor ask."""

import asyncio
import hmac
from time import monotonic
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from payments.context import Context, Ctx
from payments.core import errors, migrations
from payments.core.db import is_outage
from payments.core.errors import Forbidden
from payments.core.principal import SCHEME, bearer, principal
from payments.core.rate_limit import RateLimited
from payments.sync.account import WrongAccount, stamp
from payments.sync.reconcile.run import measure

router = APIRouter(tags=["operations"])

PATIENCE_SECONDS: Final = 3.0
START_PATIENCE_SECONDS: Final = 15.0
"""At the start nothing waits yet, and a slow answer must not let the wrong account in."""
REMEMBER_SECONDS: Final = 30


class Check(BaseModel):
    """One thing looked at. A warning does not take the instance out of service."""

    state: Literal["ok", "warning", "failed"]
    detail: str | None = None


class Readiness(BaseModel):
    """Ready when no check has failed."""

    ready: bool
    checks: dict[str, Check]


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers; nothing else is looked at."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "not ready"}},
)
async def readyz(request: Request, ctx: Ctx) -> JSONResponse:
    """Whether this instance should get traffic: the database answers, and no migration is missing.
    A Stripe that cannot be reached is a warning: webhooks can still be stored. So is a pause.
    """
    checks = {"database": await database(ctx)}
    if checks["database"].state == "ok":
        checks["stripe"] = await stripe_lately(request.app, ctx)
        checks["switches"] = await pauses(ctx)
    ready = all(check.state != "failed" for check in checks.values())
    body = Readiness(ready=ready, checks=checks)
    return JSONResponse(body.model_dump(), 200 if ready else 503)


async def database(ctx: Context) -> Check:
    try:
        async with ctx.db.transaction() as tx:
            missing = await migrations.missing(tx)
    except Exception as exc:
        if not is_outage(exc):
            raise
        return Check(state="failed", detail=f"PostgreSQL does not answer: {type(exc).__name__}")
    if missing:
        return Check(
            state="failed", detail=f"migration {missing} is missing; run `payments migrate`"
        )
    return Check(state="ok")


async def pauses(ctx: Context) -> Check:
    """What a person has paused; who and why is for admins."""
    async with ctx.db.transaction() as tx:
        names = await ctx.sync.switches.names(tx)
    if names:
        return Check(state="warning", detail=f"paused: {', '.join(sorted(names))}")
    return Check(state="ok")


async def stripe_lately(app: FastAPI, ctx: Context, *, patience: float = PATIENCE_SECONDS) -> Check:
    """Probes come every few seconds from every balancer; Stripe is asked twice a minute."""
    seen: tuple[float, Check] | None = getattr(app.state, "stripe_seen", None)
    if seen is not None and monotonic() - seen[0] < REMEMBER_SECONDS:
        return seen[1]
    check = await stripe(ctx, patience=patience)
    app.state.stripe_seen = (monotonic(), check)
    return check


async def stripe(ctx: Context, *, patience: float) -> Check:
    """Whether Stripe answers, and for the account that this database mirrors."""
    try:
        async with asyncio.timeout(patience):
            account = await stamp(ctx.db, ctx.stripe, livemode=ctx.settings.live)
    except WrongAccount as exc:
        return Check(state="failed", detail=str(exc))
    except TimeoutError:
        account = None
    if account is None:
        return Check(state="warning", detail="Stripe does not answer; events are stored meanwhile")
    return Check(state="ok", detail=account)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus text"},
        **errors.problems(errors.Unauthenticated, errors.Forbidden, RateLimited),
    },
)
async def metrics(
    request: Request, ctx: Ctx, _: Annotated[Any, Security(SCHEME)] = None
) -> Response:
    """Counters and histograms, for an admin or the bearer of METRICS_TOKEN."""
    await _may_read_metrics(request, ctx)
    await measure(ctx.db)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _may_read_metrics(request: Request, ctx: Context) -> None:
    wanted: Any = ctx.settings.metrics_token
    sent = bearer(request) or ""
    if wanted is not None and hmac.compare_digest(
        wanted.get_secret_value().encode(), sent.encode()
    ):
        return
    if (await principal(request)).role != "admin":
        raise Forbidden("metrics need an admin, or METRICS_TOKEN")
