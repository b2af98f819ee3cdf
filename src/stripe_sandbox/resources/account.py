"""The one account of the sandbox."""

from stripe_sandbox.config import ACCOUNT
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

accounts = Resource("account", id_prefix="acct")

NAME = "Offline sandbox"


@accounts.on("get", "/v1/account")
def current(_: Work) -> Body:
    return filled(
        resource_class("account"),
        {
            "id": ACCOUNT,
            "business_profile": {"name": NAME},
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "charges_enabled": True,
            "country": "US",
            "created": 1,
            "default_currency": "usd",
            "details_submitted": True,
            "metadata": {},
            "payouts_enabled": True,
            "settings": {"dashboard": {"display_name": NAME, "timezone": "Etc/UTC"}},
            "type": "standard",
        },
    )
