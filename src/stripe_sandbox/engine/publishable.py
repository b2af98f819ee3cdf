"""What a web page may do with a publishable key: little, and only with the secret of an object."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

import orjson

from stripe_sandbox.contract.errors import invalid, unauthorized
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.contract.routes import Route, match
from stripe_sandbox.engine.calls import Answer, Call
from stripe_sandbox.engine.work import Work

_CONFIRMING = (
    "expand mandate_data payment_method payment_method_data payment_method_options return_url"
    " shipping use_stripe_sdk"
)
_LABELS = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}


@dataclass(frozen=True, slots=True)
class _Permission:
    """One call that a page may make: whose client_secret it needs, and what it may say."""

    secret_of: str | None
    takes: str


_PERMITTED = {
    "GET /v1/payment_intents/{intent}": _Permission("payment_intent", "expand"),
    "POST /v1/payment_intents/{intent}/confirm": _Permission(
        "payment_intent", f"{_CONFIRMING} receipt_email setup_future_usage"
    ),
    "GET /v1/setup_intents/{intent}": _Permission("setup_intent", "expand"),
    "POST /v1/setup_intents/{intent}/confirm": _Permission("setup_intent", _CONFIRMING),
    "POST /v1/payment_methods": _Permission(
        None, "allow_redisplay billing_details card metadata sepa_debit type us_bank_account"
    ),
}

# What the API reference marks as retrievable with a publishable key.
_OF_INTENTS = (
    "id object automatic_payment_methods cancellation_reason client_secret created description"
    " livemode next_action payment_method payment_method_types status"
)
_SHOWN = {
    "payment_intent": f"{_OF_INTENTS} amount canceled_at capture_method confirmation_method"
    " currency last_payment_error processing receipt_email setup_future_usage shipping",
    "setup_intent": f"{_OF_INTENTS} last_setup_error usage",
    "payment_method": "id object allow_redisplay billing_details card created livemode sepa_debit"
    " type us_bank_account",
}
_HIDDEN = frozenset({"fingerprint"})


def permits(verb: str, path: str) -> bool:
    found = match(verb, path)
    return found is not None and str(found[0]) in _PERMITTED


def admit(work: Work, call: Call, route: Route, ids: dict[str, str]) -> Call:
    """The call without its client_secret, which was right.

    Raises:
        StripeError: it takes a secret key, the client_secret is missing or wrong, or there is a
            parameter that only a server may set.
    """
    permission = _PERMITTED.get(str(route))
    params = dict(call.params)
    secret = params.pop("client_secret", None)
    if permission is None or (permission.secret_of and not isinstance(secret, str)):
        raise unauthorized(
            "This API call cannot be made with a publishable API key. Please use a secret API"
            " key. You can find a list of your API keys at"
            " https://dashboard.stripe.com/account/apikeys."
        )
    if permission.secret_of:
        _require_secret(work.find(permission.secret_of, *ids.values(), param="intent"), str(secret))
    beyond = params.keys() - set(permission.takes.split())
    if beyond:
        name = min(beyond)
        raise invalid(
            f"A publishable API key cannot be used with the parameter {name}.", param=name
        )
    return replace(call, params=params)


def _require_secret(intent: Body, secret: str) -> None:
    if not secrets.compare_digest(intent["client_secret"].encode(), secret.encode()):
        kind = intent["object"]
        raise invalid(
            "The client_secret provided does not match the client_secret associated with the"
            f" {_LABELS[kind]}.",
            code=f"{kind}_invalid_parameter",
            param="client_secret",
        )


def redacted(answer: Answer) -> Answer:
    """The answer as a page may read it."""
    return replace(answer, content=orjson.dumps(_shown(orjson.loads(answer.content))))


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("object")
    if kind and kind not in _SHOWN:
        return value.get("id")
    names = set(_SHOWN[kind].split() if kind else value) - _HIDDEN
    return {name: _shown(part) for name, part in value.items() if name in names}
