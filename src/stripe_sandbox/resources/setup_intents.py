"""Setup intents: a payment method is made ready for later."""

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import setting_up
from stripe_sandbox.flows.paying import OPEN, TYPES, permitted_types, unexpected_state, way_back
from stripe_sandbox.resources.payment_methods import method_from_data, usable_method

setup_intents = Resource("setup_intent", id_prefix="seti", param="intent")

_FIELDS = (
    "allowed_payment_method_types customer description excluded_payment_method_types"
    " flow_directions metadata"
)
_METHOD = "payment_method payment_method_data"
_CONFIRMING = f"{_METHOD} mandate_data return_url use_stripe_sdk"


@setup_intents.on(
    "post",
    "/v1/setup_intents",
    takes=f"{_FIELDS} {_CONFIRMING} automatic_payment_methods confirm usage",
)
def create(work: Work, params: Body) -> Body:
    if "customer" in params:
        work.find("customer", params["customer"], param="customer")
    method = _method(work, params)
    intent = setting_up.new_setup_intent(
        work,
        **given(params, f"{_FIELDS} automatic_payment_methods usage"),
        payment_method=method["id"] if method else None,
    )
    return _confirm(work, intent, params) if params.get("confirm") else intent


@setup_intents.on("post", "/v1/setup_intents/{intent}", takes=f"{_FIELDS} {_METHOD}")
def update(work: Work, params: Body, intent: str) -> Body:
    body = work.find("setup_intent", intent)
    if params.keys() - {"description", "metadata"} and body["status"] not in OPEN:
        raise unexpected_state(body, "updated", OPEN)
    if params.get("customer"):
        work.find("customer", params["customer"], param="customer")
    new = changes(body, params, _FIELDS)
    method = _method(work, params)
    if method:
        new |= {"payment_method": method["id"], "status": "requires_confirmation"}
    types = permitted_types(TYPES, {**body, **new})
    work.change(body, **new, payment_method_types=types)
    return body


@setup_intents.on(
    "post",
    "/v1/setup_intents/{intent}/confirm",
    takes=f"{_CONFIRMING} allowed_payment_method_types",
)
def confirm(work: Work, params: Body, intent: str) -> Body:
    body = work.find("setup_intent", intent)
    _require_own(work, body, "confirm")
    if body["status"] not in OPEN:
        raise unexpected_state(body, "confirmed", OPEN)
    new = changes(body, params, "allowed_payment_method_types")
    work.change(body, **new, payment_method_types=permitted_types(TYPES, {**body, **new}))
    return _confirm(work, body, params)


@setup_intents.on("post", "/v1/setup_intents/{intent}/cancel", takes="cancellation_reason")
def cancel(work: Work, params: Body, intent: str) -> Body:
    body = work.find("setup_intent", intent)
    _require_own(work, body, "cancel")
    setting_up.cancel(work, body, reason=params.get("cancellation_reason"))
    return body


def _require_own(work: Work, intent: Body, verb: str) -> None:
    """A session's intent follows its session."""
    if work.note(intent["id"]).get("session"):
        raise refused(
            f"You cannot {verb} this SetupIntent because it was created by a Checkout Session.",
            code="setup_intent_unexpected_state",
            setup_intent=dict(intent),
        )


def _confirm(work: Work, intent: Body, params: Body) -> Body:
    method = _method(work, params) or work.get("payment_method", intent["payment_method"])
    if method is None:
        raise refused(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update"
            " the SetupIntent with a payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
            setup_intent=dict(intent),
        )
    setting_up.attempt(work, intent, method, return_url=way_back(params))
    return intent


def _method(work: Work, params: Body) -> Body | None:
    if "payment_method" in params:
        return usable_method(work, params["payment_method"])
    if "payment_method_data" in params:
        return method_from_data(work, params["payment_method_data"])
    return None
