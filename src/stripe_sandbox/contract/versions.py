"""What older versions of the API called otherwise."""

from typing import Any

_RENAMED = {"payment_method_types": "allowed_payment_method_types"}
_WHERE = ("/v1/checkout/sessions", "/v1/payment_intents", "/v1/setup_intents")


def in_todays_words(path: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request of an older version, such as the account's default one, which a
    request without the header `Stripe-Version` has.
    """
    if not path.startswith(_WHERE):
        return params
    return {_RENAMED.get(name, name): value for name, value in params.items()}
