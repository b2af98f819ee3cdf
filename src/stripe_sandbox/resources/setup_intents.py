"""Setup intents: a payment method is made ready for later."""

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import intents, setting_up
from stripe_sandbox.resources.payment_methods import method_in

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
        work.named("customer", params)
    method = method_in(work, params)
    fields = given(params, f"{_FIELDS} automatic_payment_methods usage")
    fields["payment_method"] = method["id"] if method else None
    intent = setting_up.new_setup_intent(work, **fields)
    if params.get("confirm"):
        _confirm(work, intent, params)
    return intent


@setup_intents.acts("/v1/setup_intents/{intent}", takes=f"{_FIELDS} {_METHOD}")
def update(work: Work, intent: Body, params: Body) -> None:
    if params.keys() - {"description", "metadata"}:
        intents.require_open(intent, "updated")
    if params.get("customer"):
        work.named("customer", params)
    new = changes(intent, params, _FIELDS)
    if method := method_in(work, params):
        new |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intents.change(work, intent, **new)


@setup_intents.acts(
    "/v1/setup_intents/{intent}/confirm", takes=f"{_CONFIRMING} allowed_payment_method_types"
)
def confirm(work: Work, intent: Body, params: Body) -> None:
    intents.require_own(work, intent, "confirm")
    intents.require_open(intent, "confirmed")
    intents.change(work, intent, **changes(intent, params, "allowed_payment_method_types"))
    _confirm(work, intent, params)


@setup_intents.acts("/v1/setup_intents/{intent}/cancel", takes="cancellation_reason")
def cancel(work: Work, intent: Body, params: Body) -> None:
    intents.require_own(work, intent, "cancel")
    setting_up.cancel(work, intent, reason=params.get("cancellation_reason"))


def _confirm(work: Work, intent: Body, params: Body) -> None:
    method = method_in(work, params) or work.get("payment_method", intent["payment_method"])
    if method is None:
        raise intents.unexpected(
            intent,
            "You cannot confirm this SetupIntent because it's missing a payment method. Update"
            " the SetupIntent with a payment method and then confirm it again.",
        )
    setting_up.attempt(work, intent, method, return_url=intents.way_back(params))
