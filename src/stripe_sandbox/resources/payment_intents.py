"""Payment intents."""

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import collecting, intents, paying
from stripe_sandbox.flows.money import known_currency, require_chargeable
from stripe_sandbox.resources.payment_methods import method_in

payment_intents = Resource(
    "payment_intent",
    id_prefix="pi",
    param="intent",
    search="amount created currency customer metadata status",
)

_FIELDS = (
    "allowed_payment_method_types customer description excluded_payment_method_types metadata"
    " payment_details receipt_email setup_future_usage shipping statement_descriptor"
    " statement_descriptor_suffix transfer_group"
)
_CONFIRMING = (
    "error_on_requires_action mandate_data off_session payment_method payment_method_data"
    " return_url use_stripe_sdk"
)
_ON_CONFIRM = (
    "allowed_payment_method_types capture_method excluded_payment_method_types receipt_email"
    " setup_future_usage shipping"
)
_ON_CAPTURE = "metadata statement_descriptor statement_descriptor_suffix"
_LONGEST_SUFFIX = 22


@payment_intents.on(
    "post",
    "/v1/payment_intents",
    takes=f"{_FIELDS} {_CONFIRMING} amount automatic_payment_methods capture_method confirm"
    " confirmation_method currency",
)
def create(work: Work, params: Body) -> Body:
    currency = known_currency(params["currency"])
    require_chargeable(params["amount"], currency)
    _require_sound(work, params)
    chosen = given(
        params, f"{_FIELDS} amount automatic_payment_methods capture_method confirmation_method"
    )
    method = method_in(work, params)
    intent = paying.new_intent(work, **chosen, currency=currency)
    if method:
        work.change(intent, payment_method=method["id"], status="requires_confirmation")
    if params.get("confirm"):
        _confirm(work, intent, params)
    return intent


@payment_intents.acts(
    "/v1/payment_intents/{intent}",
    takes=f"{_FIELDS} amount capture_method currency payment_method payment_method_data",
)
def update(work: Work, intent: Body, params: Body) -> None:
    new = changes(intent, params, f"{_FIELDS} amount capture_method")
    if "currency" in params:
        new["currency"] = known_currency(params["currency"])
    if {"amount", "currency"} & params.keys():
        _require_open(intent, "amount")
        proposed = {**intent, **new}
        require_chargeable(proposed["amount"], proposed["currency"])
    _require_sound(work, params)
    if method := method_in(work, params):
        _require_open(intent, "payment_method")
        new |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intents.change(work, intent, **new)


@payment_intents.acts("/v1/payment_intents/{intent}/confirm", takes=f"{_CONFIRMING} {_ON_CONFIRM}")
def confirm(work: Work, intent: Body, params: Body) -> None:
    intents.require_own(work, intent, "confirm")
    if intent["status"] == "succeeded":
        raise intents.unexpected(
            intent,
            "You cannot confirm this PaymentIntent because it has already succeeded after being"
            " previously confirmed.",
        )
    intents.require_open(intent, "confirmed")
    intents.change(work, intent, **changes(intent, params, _ON_CONFIRM))
    _confirm(work, intent, params)


@payment_intents.acts(
    "/v1/payment_intents/{intent}/capture",
    takes=f"amount_to_capture final_capture {_ON_CAPTURE}",
)
def capture(work: Work, intent: Body, params: Body) -> None:
    if intent["status"] != "requires_capture":
        raise intents.unexpected_state(intent, "captured", ("requires_capture",))
    most: int = intent["amount_capturable"]
    amount: int = params.get("amount_to_capture", most)
    if amount > most:
        raise refused(
            "The amount to capture must be less than or equal to the amount that can be captured"
            f" ({most}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    require_chargeable(amount, intent["currency"], param="amount_to_capture")
    work.change(intent, **changes(intent, params, _ON_CAPTURE))
    collecting.capture(work, intent, amount)


@payment_intents.acts("/v1/payment_intents/{intent}/cancel", takes="cancellation_reason")
def cancel(work: Work, intent: Body, params: Body) -> None:
    if intent["status"] != "requires_capture":
        intents.require_own(work, intent, "cancel")
    if intent["status"] not in paying.CANCELABLE:
        raise intents.unexpected(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
            " Only a PaymentIntent with one of the following statuses may be canceled:"
            f" {', '.join(paying.CANCELABLE)}.",
        )
    collecting.release(work, intent, reason=params.get("cancellation_reason"))


payment_intents.job("payment_intent.settle_debit")(collecting.settle_debit)


def _confirm(work: Work, intent: Body, params: Body) -> None:
    method = method_in(work, params) or work.get("payment_method", intent["payment_method"])
    if method is None:
        raise intents.unexpected(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can"
            " either update the PaymentIntent with a payment method and then confirm it again, or"
            " confirm it again directly with a payment method or ConfirmationToken.",
        )
    strict = bool(params.get("off_session")) or bool(params.get("error_on_requires_action"))
    return_url = intents.way_back(params)
    paying.attempt(work, intent, method, off_session=strict, return_url=return_url)


def _require_sound(work: Work, params: Body) -> None:
    if "customer" in params:
        work.named("customer", params)
    suffix = params.get("statement_descriptor_suffix") or ""
    if len(suffix) > _LONGEST_SUFFIX:
        text = f"The statement descriptor suffix must be at most {_LONGEST_SUFFIX} characters."
        raise invalid(text, param="statement_descriptor_suffix")


def _require_open(intent: Body, field: str) -> None:
    if intent["status"] not in intents.OPEN:
        raise intents.unexpected(
            intent,
            f"This PaymentIntent's {field} could not be updated because it has a status of"
            f" {intent['status']}. You may only update the {field} of a PaymentIntent with one of"
            f" the following statuses: {', '.join(intents.OPEN)}.",
        )
