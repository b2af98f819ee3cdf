"""Errors know their status, code and title; one handler renders them as RFC 9457 problems."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from payments.core.db import is_outage, is_unstorable

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Internal error."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: int | None = None,
        stripe_request_id: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title())
        self.detail = detail or self.title()
        self.retry_after = retry_after
        self.extra = {"stripe_request_id": stripe_request_id, **extra}

    @classmethod
    def title(cls) -> str:
        return (cls.__doc__ or cls.__name__).strip().rstrip(".")

    @property
    def answered(self) -> bool:
        """Whether Stripe carried the request out and will replay this answer to the same key."""
        return self.extra.get("stripe_request_id") is not None


class Unauthenticated(Problem):
    """A valid bearer token is needed."""

    status, code = 401, "unauthenticated"


class CardDeclined(Problem):
    """The card was declined."""

    status, code = 402, "card_declined"


class Forbidden(Problem):
    """Not allowed for this principal."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """No such object."""

    status, code = 404, "not_found"


class Conflict(Problem):
    """The object's state does not allow this."""

    status, code = 409, "conflict"


class InFlight(Problem):
    """The same request is still being carried out."""

    status, code = 409, "in_flight"


class BodyTooLarge(Problem):
    """The body is too large."""

    status, code = 413, "body_too_large"


class Invalid(Problem):
    """The request cannot be carried out as sent."""

    status, code = 422, "invalid_request"


class AmountNotChargeable(Invalid):
    """The amount cannot be charged."""

    code = "amount_not_chargeable"


class StripeRejected(Invalid):
    """Stripe refused the request."""

    code = "stripe_rejected"


class WebhookRejected(Problem):
    """The delivery is not a signed Stripe event."""

    status, code = 400, "webhook_rejected"


class NotImplementedHere(Problem):
    """Not available in this environment."""

    status, code = 501, "not_available_here"


class StripeFailed(Problem):
    """Stripe answered with an error of its own."""

    status, code = 502, "stripe_failed"


class StripeMisconfigured(StripeFailed):
    """Stripe refused our credentials."""

    code = "stripe_misconfigured"


class StripeBusy(Problem):
    """Stripe limits our rate."""

    status, code = 503, "stripe_busy"


class Unavailable(Problem):
    """A part this needs is not available; try again."""

    status, code = 503, "unavailable"


class StripeTimeout(Problem):
    """Stripe did not answer in time."""

    status, code = 504, "stripe_timeout"


class ProblemOut(BaseModel):
    """RFC 9457 problem details, with a stable `code` and the ids that support asks for."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["No such object"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=["There is no booking bk_123"])
    request_id: str | None = Field(None, description="ours, also in the X-Request-ID header")
    stripe_request_id: str | None = Field(None, description="Stripe's, when Stripe was asked")


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of the errors that an endpoint can answer."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = found.setdefault(
            kind.status,
            {"model": ProblemOut, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        entry["description"] = " or ".join(filter(None, [entry["description"], kind.title()]))
        entry["content"][MEDIA_TYPE]["examples"][kind.code] = {
            "value": {
                "type": "about:blank",
                "title": kind.title(),
                "status": kind.status,
                "code": kind.code,
                "detail": kind.title(),
                "request_id": "7b6ddc7d6f0e4a5f9f4e7a0f0c6f3a11",
            }
        }
    return found


def render(problem: Problem) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": problem.title(),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": correlation_id.get(),
        **{key: value for key, value in problem.extra.items() if value is not None},
    }
    headers: dict[str, str] = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == Unauthenticated.status:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, problem.status, headers=headers, media_type=MEDIA_TYPE)


def explain(errors: Sequence[Mapping[str, Any]]) -> str:
    """`amount: Input should be a valid integer; guests: …`: what to change, field by field."""
    parts = []
    for error in errors:
        where = ".".join(
            str(part) for part in error["loc"] if part not in ("body", "query", "path")
        )
        what = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            what = "there is no such field here"
        parts.append(f"{where}: {what}" if where else what)
    return "; ".join(parts)


async def _ours(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, Problem)
    return render(exc)


async def _validation(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, RequestValidationError)
    errors = [{"loc": e["loc"], "msg": e["msg"], "type": e["type"]} for e in exc.errors()]
    return render(Invalid(explain(errors), errors=errors))


async def _http(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    if exc.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's own, for a body it cannot read
        return render(Invalid("the body is not JSON in UTF-8"))
    members = {
        "__doc__": exc.detail,
        "status": exc.status_code,
        "code": f"http_{exc.status_code}",
    }
    response = render(type("Http", (Problem,), members)())
    response.headers.update(exc.headers or {})
    return response


async def _database(_: Request, exc: Exception) -> JSONResponse:
    if is_outage(exc):
        log.warning("the database is away", reason=type(exc).__name__)
        return render(Unavailable("the database is not available", retry_after=5))
    if is_unstorable(exc):
        return render(Invalid("a value lies outside of what can be stored or compared"))
    raise exc


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    app.add_exception_handler(Problem, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for outage in (OSError, SQLAlchemyError):
        app.add_exception_handler(outage, _database)


def documented(app: FastAPI) -> None:
    """Make the OpenAPI say what errors are: FastAPI declares every model as application/json."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        spec = made()
        for path in spec["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if MEDIA_TYPE in content and "application/json" in content:
                        content[MEDIA_TYPE] |= content.pop("application/json")
        return spec

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
