"""Payment intents."""

from stripe_sandbox.contract.errors import invalid, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import collecting, paying
from stripe_sandbox.flows.money import known_currency, require_chargeable
from stripe_sandbox.resources.payment_methods import method_from_data, usable_method

payment_intents = Resource(
    "payment_intent",
    id_prefix="pi",
    param="intent",
    search=frozenset({"amount", "created", "currency", "customer", "metadata", "status"}),
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
    method = _method(work, params)
    intent = paying.new_intent(work, **chosen, currency=currency)
    if method:
        work.change(intent, payment_method=method["id"], status="requires_confirmation")
    return _confirm(work, intent, params) if params.get("confirm") else intent


@payment_intents.on(
    "post",
    "/v1/payment_intents/{intent}",
    takes=f"{_FIELDS} amount capture_method currency payment_method payment_method_data",
)
def update(work: Work, params: Body, intent: str) -> Body:
    body = work.find("payment_intent", intent)
    new = changes(body, params, f"{_FIELDS} amount capture_method")
    if "currency" in params:
        new["currency"] = known_currency(params["currency"])
    if {"amount", "currency"} & params.keys():
        _require_open(body, "amount")
        proposed = {**body, **new}
        require_chargeable(proposed["amount"], proposed["currency"])
    _require_sound(work, params)
    method = _method(work, params)
    if method:
        _require_open(body, "payment_method")
        new |= {"payment_method": method["id"], "status": "requires_confirmation"}
    work.change(body, **new, payment_method_types=_types(body, new))
    return body


@payment_intents.on(
    "post",
    "/v1/payment_intents/{intent}/confirm",
    takes=f"{_CONFIRMING} {_ON_CONFIRM}",
)
def confirm(work: Work, params: Body, intent: str) -> Body:
    body = work.find("payment_intent", intent)
    _require_own(work, body, "confirm")
    if body["status"] == "succeeded":
        raise refused(
            "You cannot confirm this PaymentIntent because it has already succeeded after being"
            " previously confirmed.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(body),
        )
    if body["status"] not in paying.OPEN:
        raise paying.unexpected_state(body, "confirmed", paying.OPEN)
    new = changes(body, params, _ON_CONFIRM)
    work.change(body, **new, payment_method_types=_types(body, new))
    return _confirm(work, body, params)


@payment_intents.on(
    "post",
    "/v1/payment_intents/{intent}/capture",
    takes="amount_to_capture final_capture metadata statement_descriptor"
    " statement_descriptor_suffix",
)
def capture(work: Work, params: Body, intent: str) -> Body:
    body = work.find("payment_intent", intent)
    if body["status"] != "requires_capture":
        raise paying.unexpected_state(body, "captured", ("requires_capture",))
    amount: int = {"amount_to_capture": body["amount_capturable"], **params}["amount_to_capture"]
    if amount > body["amount_capturable"]:
        raise refused(
            "The amount to capture must be less than or equal to the amount that can be captured"
            f" ({body['amount_capturable']}).",
            code="amount_too_large",
            param="amount_to_capture",
        )
    require_chargeable(amount, body["currency"], param="amount_to_capture")
    names = "metadata statement_descriptor statement_descriptor_suffix"
    work.change(body, **changes(body, params, names))
    collecting.capture(work, body, amount)
    return body


@payment_intents.on("post", "/v1/payment_intents/{intent}/cancel", takes="cancellation_reason")
def cancel(work: Work, params: Body, intent: str) -> Body:
    body = work.find("payment_intent", intent)
    if body["status"] != "requires_capture":
        _require_own(work, body, "cancel")
    if body["status"] not in paying.CANCELABLE:
        raise refused(
            f"You cannot cancel this PaymentIntent because it has a status of {body['status']}."
            " Only a PaymentIntent with one of the following statuses may be canceled:"
            f" {', '.join(paying.CANCELABLE)}.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(body),
        )
    collecting.release(work, body, reason=params.get("cancellation_reason"))
    return body


@payment_intents.job("payment_intent.settle_debit")
def settle_debit(work: Work, subject: str) -> None:
    collecting.settle_debit(work, work.find("payment_intent", subject))


def _confirm(work: Work, intent: Body, params: Body) -> Body:
    method = _method(work, params) or work.get("payment_method", intent["payment_method"])
    if method is None:
        raise refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can"
            " either update the PaymentIntent with a payment method and then confirm it again, or"
            " confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )
    strict = bool(params.get("off_session")) or bool(params.get("error_on_requires_action"))
    paying.attempt(work, intent, method, off_session=strict, return_url=paying.way_back(params))
    return intent


def _method(work: Work, params: Body) -> Body | None:
    if "payment_method" in params:
        return usable_method(work, params["payment_method"])
    if "payment_method_data" in params:
        return method_from_data(work, params["payment_method_data"])
    return None


def _types(intent: Body, new: Body) -> list[str]:
    return paying.permitted_types(paying.TYPES, {**intent, **new})


def _require_sound(work: Work, params: Body) -> None:
    if "customer" in params:
        work.find("customer", params["customer"], param="customer")
    suffix = params.get("statement_descriptor_suffix") or ""
    if len(suffix) > _LONGEST_SUFFIX:
        text = f"The statement descriptor suffix must be at most {_LONGEST_SUFFIX} characters."
        raise invalid(text, param="statement_descriptor_suffix")


def _require_open(intent: Body, field: str) -> None:
    if intent["status"] not in paying.OPEN:
        raise refused(
            f"This PaymentIntent's {field} could not be updated because it has a status of"
            f" {intent['status']}. You may only update the {field} of a PaymentIntent with one of"
            f" the following statuses: {', '.join(paying.OPEN)}.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )


def _require_own(work: Work, intent: Body, verb: str) -> None:
    """A session's intent follows its session."""
    if work.note(intent["id"]).get("session"):
        raise refused(
            f"You cannot {verb} this PaymentIntent because it was created by a Checkout Session."
            " Expire the session instead.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )
