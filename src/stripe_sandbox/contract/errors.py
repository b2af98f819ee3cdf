"""Answers other than 2xx, in Stripe's shape and words."""

from typing import Any

NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header,"
    " using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See"
    " https://stripe.com/docs/api#authentication for details."
)


class Lasting(Exception):
    """Raised within a transaction, it leaves what was changed before it in place."""


class StripeError(Exception):
    """An error a client sees.

    Attributes:
        executed: the request was begun, so its answer is kept under its idempotency key.
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        executed: bool = True,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        self.error = {
            "type": type,
            "message": message,
            **{name: value for name, value in details.items() if value is not None},
        }
        if "code" in self.error:
            slug = self.error["code"].replace("_", "-")
            self.error["doc_url"] = f"https://stripe.com/docs/error-codes/{slug}"


class CardDeclined(StripeError, Lasting):
    """An attempt to pay that failed; the failed charge and the intent stay as they are now."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(402, "card_error", message, **details)


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> StripeError:
    """A parameter is wrong in itself; nothing was begun."""
    return StripeError(
        400, "invalid_request_error", message, code=code, param=param, executed=False
    )


def missing(param: str) -> StripeError:
    text = f"Missing required param: {param}."
    return invalid(text, code="parameter_missing", param=param)


def refused(message: str, *, code: str | None = None, **details: Any) -> StripeError:
    """The request is well formed, but the state of things does not allow it."""
    return StripeError(400, "invalid_request_error", message, code=code, **details)


def no_such(label: str, id: str, *, param: str, status: int = 404) -> StripeError:
    return StripeError(
        status,
        "invalid_request_error",
        f"No such {label}: '{id}'",
        code="resource_missing",
        param=param,
    )


def not_simulated(what: str) -> StripeError:
    return StripeError(
        501,
        "api_error",
        f"The offline sandbox does not simulate {what}.",
        code="not_implemented",
        executed=False,
    )


def unauthorized(message: str) -> StripeError:
    return StripeError(401, "invalid_request_error", message, executed=False)


def unrecognized_url(verb: str, path: str) -> StripeError:
    return StripeError(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({verb.upper()}: {path}). Please see https://stripe.com/docs"
        " or we can help at https://support.stripe.com/.",
        executed=False,
    )
