"""What a Checkout Session may be asked for: each mode has parameters of its own."""

from stripe_sandbox.contract.errors import StripeError, invalid, missing, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.urls import require_url
from stripe_sandbox.engine.work import Work

_MINUTE = 60
_SHORTEST, _LONGEST = 30 * _MINUTE, 24 * 60 * _MINUTE
_MOST_LINES, _LONGEST_REFERENCE = 100, 200
_UI_MODES = ("hosted_page", "embedded_page")

_DATA = {
    "payment": "payment_intent_data",
    "setup": "setup_intent_data",
    "subscription": "subscription_data",
}
_ONLY_WITH_LINES = (
    "allow_promotion_codes",
    "automatic_tax",
    "discounts",
    "line_items",
    "shipping_options",
)
_TAKES = {
    "automatic_tax": "enabled",
    "customer_update": "address name shipping",
    "invoice_creation": "enabled invoice_data",
    "payment_intent_data": "capture_method description metadata receipt_email setup_future_usage"
    " shipping statement_descriptor statement_descriptor_suffix transfer_group",
    "setup_intent_data": "description metadata",
    "subscription_data": "billing_cycle_anchor description metadata"
    " proration_behavior trial_end trial_period_days trial_settings",
}


def require_sound(work: Work, params: Body) -> None:
    """Hold the parameters of a new session against its mode and against each other."""
    _require(params, "mode")
    for name, takes in _TAKES.items():
        require_simulated(params.get(name, {}), takes, where=name)
    _require_way_back(params)
    mode = params["mode"]
    for other in {*_DATA.values()} - {_DATA[mode]} & params.keys():
        raise invalid(f"You can not pass `{other}` in `{mode}` mode.", param=other)
    if mode == "setup":
        _require_setup(params)
    else:
        _require(params, "line_items")
    if mode != "payment" and "invoice_creation" in params:
        text = f"You can not pass `invoice_creation` in `{mode}` mode."
        raise invalid(text, param="invoice_creation")
    _require_consistent(work, params)


def require_prices(mode: str, lines: list[Body]) -> None:
    """A payment is made once; a subscription needs a price that recurs."""
    recurring = any(line["price"]["recurring"] for line in lines)
    if mode == "payment" and recurring:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to"
            " `subscription` mode or use only one-time prices.",
            param="mode",
        )
    if mode == "subscription" and not recurring:
        raise invalid(
            "You must provide at least one recurring price in `subscription` mode when using"
            " prices.",
            param="mode",
        )


def require_billable(params: Body) -> None:
    """Refuse what the session's invoice could not show in the end."""
    invoiced = params.get("invoice_creation", {}).get("enabled")
    if "shipping_options" in params and (invoiced or params["mode"] == "subscription"):
        raise not_simulated("shipping_options of Checkout Sessions that make an invoice")


def data_of(params: Body) -> Body:
    """What the session hands on to the intent or the subscription that it makes."""
    data: Body = params.get(_DATA[params["mode"]], {})
    return data


def expiry(work: Work, params: Body) -> int:
    latest = work.now + _LONGEST
    expires_at: int = params.get("expires_at", latest)
    if expires_at < work.now + _SHORTEST:
        text = (
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        )
        raise invalid(text, param="expires_at")
    if expires_at > latest:
        text = (
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        )
        raise invalid(text, param="expires_at")
    return expires_at


def _require(params: Body, name: str) -> None:
    if name not in params:
        raise missing(name)


def _require_way_back(params: Body) -> None:
    ui_mode = params.get("ui_mode", "hosted_page")
    if ui_mode not in _UI_MODES:
        raise not_simulated(f"the ui_mode {ui_mode} of Checkout Sessions")
    embedded = ui_mode == "embedded_page"
    _require(params, "return_url" if embedded else "success_url")
    for name in ("success_url", "cancel_url") if embedded else ("return_url",):
        if name in params:
            text = f"`{name}` is not supported for `ui_mode={ui_mode}`."
            raise invalid(text, param=name)
    for name in ("success_url", "cancel_url", "return_url"):
        require_url(params.get(name), param=name)


def _require_setup(params: Body) -> None:
    for name in _ONLY_WITH_LINES:
        if name in params:
            raise invalid(f"You can not pass `{name}` in `setup` mode.", param=name)
    if "currency" not in params and "allowed_payment_method_types" not in params:
        text = "You must pass `currency` in `setup` mode when payment methods are dynamic."
        raise invalid(text, code="parameter_missing", param="currency")


def _require_consistent(work: Work, params: Body) -> None:
    for one, other in (
        ("customer", "customer_email"),
        ("allow_promotion_codes", "discounts"),
    ):
        if one in params and other in params:
            raise _either(one, other)
    if "customer" in params:
        work.find("customer", params["customer"], param="customer")
    elif "customer_update" in params:
        text = "`customer_update` can only be used with `customer`."
        raise invalid(text, param="customer_update")
    if len(params.get("line_items", ())) > _MOST_LINES:
        raise invalid(f"A session takes up to {_MOST_LINES} line items.", param="line_items")
    if len(params.get("discounts", ())) > 1:
        raise invalid("You can only apply one discount to a session.", param="discounts")
    if len(params.get("client_reference_id", "")) > _LONGEST_REFERENCE:
        text = f"Invalid string: must be at most {_LONGEST_REFERENCE} characters"
        raise invalid(text, param="client_reference_id")


def _either(one: str, other: str) -> StripeError:
    text = f"You may only specify one of these parameters: {one}, {other}."
    return invalid(text, param=other)
