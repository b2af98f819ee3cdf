"""The customer portal's configurations, and the sessions that open it for one customer."""

from typing import Any

from stripe_sandbox.contract.errors import invalid, missing, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.urls import require_url
from stripe_sandbox.engine.work import Work

configurations = Resource(
    "billing_portal.configuration", id_prefix="bpc", label="configuration", param="configuration"
)
sessions = Resource("billing_portal.session", id_prefix="bps")

UNOPENED, IDLE = 5 * 60, 3600

_OF_SUBSCRIPTIONS = ("subscription_cancel", "subscription_update")
_CONFIGURATION = "business_profile default_return_url features login_page metadata name"
_FLOWS = ("customer_update", "payment_method_update", *_OF_SUBSCRIPTIONS)
_REASONS = "too_expensive missing_features switched_service unused other"
_FEATURES: Body = {
    "subscription_cancel": {
        "cancellation_reason": {"options": _REASONS.split()},
        "proration_behavior": "none",
    },
    "subscription_update": {"proration_behavior": "none"},
}
_NO_CONFIGURATION = (
    "No configuration provided and your test mode default configuration has not been created."
    " Provide a configuration or create your default by saving your customer portal settings in"
    " test mode at https://dashboard.stripe.com/test/settings/billing/portal."
)


@configurations.on("post", "/v1/billing_portal/configurations", takes=_CONFIGURATION)
def create_configuration(work: Work, params: Body) -> Body:
    """Never the default one: that is made by saving the settings in Stripe's dashboard."""
    _require_simulated(params)
    configuration = work.create(
        "billing_portal.configuration",
        active=True,
        **{
            "business_profile": {},
            "login_page": {},
            **given(params, _CONFIGURATION),
            "features": _merged(_FEATURES, params["features"]),
        },
    )
    work.emit("billing_portal.configuration.created", configuration)
    return configuration


@configurations.at_start
def save_settings(work: Work) -> None:
    """What saving the portal's settings in Stripe's dashboard leaves: the default configuration."""
    if not work.config.portal_saved or any(
        work.every("billing_portal.configuration", is_default=True)
    ):
        return
    every: Body = {name: {"enabled": True} for name in ("invoice_history", *_FLOWS)}
    every["customer_update"]["allowed_updates"] = ["email", "name", "address", "phone"]
    work.create(
        "billing_portal.configuration",
        active=True,
        business_profile={},
        features=_merged(_FEATURES, every),
        is_default=True,
        login_page={},
    )


@configurations.acts(
    "/v1/billing_portal/configurations/{configuration}", takes=f"{_CONFIGURATION} active"
)
def update_configuration(work: Work, configuration: Body, params: Body) -> None:
    _require_simulated(params)
    nested = ("business_profile", "features", "login_page")
    whole = {name: _merged(configuration[name], params[name]) for name in nested if name in params}
    new = changes(configuration, {**params, **whole}, f"{_CONFIGURATION} active")
    work.announce("billing_portal.configuration.updated", configuration, **new, updated=work.now)


@sessions.on(
    "post",
    "/v1/billing_portal/sessions",
    takes="configuration customer flow_data locale return_url",
)
def create_session(work: Work, params: Body) -> Body:
    customer = work.named("customer", params)
    configuration = _configuration(work, params)
    require_url(params.get("return_url"), param="return_url")
    id = work.new_id("billing_portal.session")
    session = work.create(
        "billing_portal.session",
        id=id,
        configuration=configuration["id"],
        customer=customer["id"],
        flow=_flow(work, params, configuration),
        locale=params.get("locale"),
        return_url=params.get("return_url") or configuration["default_return_url"],
        url=f"{work.config.base_url}/p/session/{id}",
    )
    work.remember(id, ends=work.now + UNOPENED)
    work.emit("billing_portal.session.created", session)
    return session


def visit(work: Work, session: Body) -> bool:
    """Whether the link still opens the portal; a visit keeps it open for another while."""
    customer = work.get("customer", session["customer"]) or {"deleted": True}
    if customer.get("deleted") or work.note(session["id"])["ends"] < work.now:
        return False
    work.remember(session["id"], ends=work.now + IDLE)
    return True


def _configuration(work: Work, params: Body) -> Body:
    if "configuration" not in params:
        default = next(work.every("billing_portal.configuration", is_default=True), None)
        if default is None:
            raise invalid(_NO_CONFIGURATION)
        return default
    named = work.find("billing_portal.configuration", params["configuration"])
    if not named["active"]:
        text = f"The portal configuration {named['id']} is inactive."
        raise invalid(text, param="configuration")
    return named


def _flow(work: Work, params: Body, configuration: Body) -> Body | None:
    flow = params.get("flow_data")
    if flow is None:
        return None
    if flow["type"] not in _FLOWS:
        raise not_simulated(f"the portal's flow {flow['type']}")
    if not configuration["features"][flow["type"]]["enabled"]:
        text = f"The portal configuration {configuration['id']} does not enable {flow['type']}."
        raise invalid(text, param="flow_data[type]")
    after = flow.get("after_completion", {"type": "portal_homepage"})
    if after["type"] == "hosted_confirmation":
        raise not_simulated("the portal's hosted_confirmation")
    if after["type"] == "redirect":
        param = "flow_data[after_completion][redirect][return_url]"
        require_url(after.get("redirect", {}).get("return_url", ""), param=param)
    return {"type": flow["type"], "after_completion": after, **_about(work, flow)}


def _about(work: Work, flow: Body) -> Body:
    """The subscription that a flow is about."""
    type = flow["type"]
    if type not in _OF_SUBSCRIPTIONS:
        return {}
    about, param = flow.get(type, {}), f"flow_data[{type}]"
    require_simulated(about, "subscription", where=param)
    if not about:
        raise missing(param)
    work.find("subscription", about["subscription"], param=f"{param}[subscription]")
    return {type: about}


def _merged(old: Body, new: Body) -> Body:
    """Hashes are merged at every depth; a list is replaced, an empty one comes as ''."""
    return {**old, **{name: _merge(old.get(name), value) for name, value in new.items()}}


def _merge(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return _merged(old, new)
    return [] if new == "" and isinstance(old, list) else new


def _require_simulated(params: Body) -> None:
    require_url(params.get("default_return_url"), param="default_return_url")
    if params.get("login_page", {}).get("enabled"):
        raise not_simulated("the portal's login page")
