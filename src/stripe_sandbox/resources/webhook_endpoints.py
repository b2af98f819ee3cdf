"""Webhook endpoints; the secret is shown once."""

import secrets
import time

import stripe

from stripe_sandbox.config import CONFIGURED_ENDPOINT
from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.urls import require_url
from stripe_sandbox.engine.work import Work

_MOST = 16

webhook_endpoints = Resource("webhook_endpoint", id_prefix="we", label="webhook endpoint")


@webhook_endpoints.on(
    "post", "/v1/webhook_endpoints", takes="api_version description enabled_events metadata url"
)
def create(work: Work, params: Body) -> Body:
    require_url(params["url"], param="url")
    if sum(1 for _ in work.every("webhook_endpoint")) >= _MOST:
        raise refused(f"You have reached the maximum of {_MOST} test webhook endpoints.")
    endpoint = work.create(
        "webhook_endpoint",
        **given(params, "api_version description enabled_events metadata url"),
        status="enabled",
    )
    secret = _new_secret()
    work.remember(endpoint["id"], secret=secret)
    return {**endpoint, "secret": secret}


def roll(work: Work, id: str, *, expires_after: float) -> Body:
    """A new secret; the old one signs as well for so many seconds. Stripe's Dashboard has this and
    its API has not.
    """
    endpoint = work.find("webhook_endpoint", id)
    note, now = work.note(id), time.time()
    live = [[old, until] for old, until in note.get("rolled", ()) if until > now]
    secret = _new_secret()
    work.remember(id, secret=secret, rolled=[[note["secret"], now + expires_after], *live])
    return {**endpoint, "secret": secret}


@webhook_endpoints.on(
    "post",
    "/v1/webhook_endpoints/{webhook_endpoint}",
    takes="description disabled enabled_events metadata url",
)
def update(work: Work, params: Body, webhook_endpoint: str) -> Body:
    endpoint = work.find("webhook_endpoint", webhook_endpoint)
    require_url(params.get("url"), param="url")
    new = changes(endpoint, params, "description enabled_events metadata url")
    if "disabled" in params:
        new["status"] = "disabled" if params["disabled"] else "enabled"
    work.change(endpoint, **new)
    return endpoint


@webhook_endpoints.on("delete", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete(work: Work, webhook_endpoint: str) -> Body:
    return work.delete(work.find("webhook_endpoint", webhook_endpoint), leave_trace=False)


@webhook_endpoints.at_start
def configure_endpoint(work: Work) -> None:
    """The endpoint of the command line: one id for ever, disabled when it is no longer named."""
    endpoint = work.get("webhook_endpoint", CONFIGURED_ENDPOINT)
    url = work.config.webhook_url
    if url is None:
        if endpoint:
            work.change(endpoint, status="disabled")
        return
    if endpoint is None:
        endpoint = work.create("webhook_endpoint", id=CONFIGURED_ENDPOINT, enabled_events=["*"])
    work.change(endpoint, api_version=stripe.api_version, url=url, status="enabled")
    kept = work.note(CONFIGURED_ENDPOINT).get("secret")
    secret = work.config.webhook_secret or kept or _new_secret()
    work.remember(CONFIGURED_ENDPOINT, secret=secret)


def _new_secret() -> str:
    return f"whsec_{secrets.token_hex(16)}"
