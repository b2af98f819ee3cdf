"""Stripe's errors as problems of ours, with Stripe's request id."""

import re
from http import HTTPStatus

import httpx2
import stripe
import structlog

from payments.core import errors
from payments.core.errors import Problem
from payments.stripe_api.refusals import KEY_REFUSED, PATIENCE, Refusals

log = structlog.get_logger(__name__)

GONE = "resource_missing"
IN_FLIGHT = "idempotency_key_in_use"


class StripeObjectMissing(errors.Conflict):
    """Stripe has no such object."""

    code = "stripe_object_missing"


class KeyReused(errors.Problem):
    """An idempotency key was sent with other parameters."""

    status = 502
    code = "idempotency_key_reused"


class KeyLacksPermission(errors.StripeMisconfigured):
    """This service's restricted key does not allow the request."""


def code_of(exc: stripe.StripeError) -> str | None:
    """The wire code. `exc.code` is None for most classes of SDK 16."""
    return getattr(exc.error, "code", None) if exc.error is not None else None


def reported(exc: stripe.StripeError, refusals: Refusals) -> Problem:
    """The problem that a caller of ours gets, written to the log; a key that Stripe refuses is
    somebody's work at once. Declines are the customers' affair: they are counted, not alerted.
    """
    problem = problem_for(exc)
    facts = {
        "type": type(exc).__name__,
        "code": code_of(exc),
        "status": exc.http_status,
        "stripe_request_id": exc.request_id,
    }
    if isinstance(problem, errors.StripeMisconfigured):
        refusals.tell(problem, **facts)
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("Stripe failed", **facts)
    else:
        log.info("Stripe refused", **facts)
    return problem


def problem_for(exc: stripe.StripeError) -> Problem:
    """The problem that a caller of ours gets for an error of Stripe's."""
    if isinstance(exc, stripe.APIConnectionError):
        return _unreached(exc)
    kind, detail = _meaning(exc)
    return kind(
        detail,
        retry_after=_patience(kind),
        stripe_request_id=exc.request_id,
        stripe_code=code_of(exc),
    )


def _patience(kind: type[Problem]) -> int | None:
    if issubclass(kind, errors.StripeMisconfigured):
        return PATIENCE
    passing = kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR or kind is errors.InFlight
    return 2 if passing else None


def _meaning(exc: stripe.StripeError) -> tuple[type[Problem], str]:
    message = exc.user_message or str(exc)
    refused = f"Stripe refused the request: {message}"
    kinds: tuple[tuple[type[stripe.StripeError], type[Problem], str], ...] = (
        (stripe.CardError, errors.CardDeclined, message),
        (stripe.RateLimitError, errors.StripeBusy, "Stripe limits our rate; try again shortly"),
        (stripe.AuthenticationError, errors.StripeMisconfigured, KEY_REFUSED),
        (stripe.PermissionError, KeyLacksPermission, _lacking(message)),
        (stripe.IdempotencyError, KeyReused, message),
        (stripe.InvalidRequestError, errors.StripeRejected, refused),
    )
    if code_of(exc) == GONE:
        return StripeObjectMissing, refused
    if code_of(exc) == IN_FLIGHT:
        return errors.InFlight, "Stripe is still carrying out this request"
    for raised, kind, detail in kinds:
        if isinstance(exc, raised):
            return kind, detail
    return errors.StripeFailed, "Stripe had an error of its own; try again"


def _lacking(message: str) -> str:
    """Stripe names what is lacking as `rak_customer_write`; and the key, which nobody needs."""
    names = ", ".join(dict.fromkeys(re.findall(r"rak_\w+", message)))
    return f"STRIPE_SECRET_KEY lacks a permission at Stripe: {names or 'see its dashboard'}"


def _unreached(exc: stripe.APIConnectionError) -> Problem:
    if isinstance(exc.__cause__, httpx2.TimeoutException):
        return errors.StripeTimeout("Stripe did not answer in time; try again", retry_after=2)
    return errors.StripeFailed("Stripe cannot be reached; try again", retry_after=2)
