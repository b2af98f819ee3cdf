"""Checkout Sessions in payment mode, and the two routes by which the CLI completes them."""

import secrets

from stripe_sandbox.contract.errors import invalid, not_simulated
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given, merge_metadata
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.urls import require_url
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import checkout
from stripe_sandbox.flows.lines import as_list, new_lines, total
from stripe_sandbox.flows.money import require_chargeable
from stripe_sandbox.flows.paying import permitted_types


def _has_email(session: Body, wanted: object) -> bool:
    details = session["customer_details"] or {}
    return isinstance(wanted, dict) and details.get("email") == wanted.get("email")


sessions = Resource(
    "checkout.session",
    id_prefix="cs_test",
    param="session",
    filters={"customer_details": _has_email},
)

# Kept and shown, without any effect here.
_SHOWN = (
    "adaptive_pricing allow_promotion_codes allowed_payment_method_types"
    " billing_address_collection branding_settings consent_collection custom_text customer_creation"
    " excluded_payment_method_types locale origin_context phone_number_collection submit_type"
    " tax_id_collection"
)
_OWN = "cancel_url client_reference_id customer customer_email metadata success_url"
_INTENT = frozenset(
    {
        "capture_method",
        "description",
        "metadata",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_group",
    }
)
_MINUTE = 60
_SHORTEST, _LONGEST = 30 * _MINUTE, 24 * 60 * _MINUTE
_MOST_LINES, _LONGEST_REFERENCE = 100, 200
_DEBITS = {"usd": ["us_bank_account"], "eur": ["sepa_debit"]}


@sessions.on(
    "post",
    "/v1/checkout/sessions",
    takes=f"{_OWN} {_SHOWN} automatic_tax expires_at line_items mode payment_intent_data ui_mode",
)
def create(work: Work, params: Body) -> Body:
    _require_hosted_payment(params)
    _require_consistent(work, params)
    data = params.get("payment_intent_data", {})
    require_simulated(data, _INTENT, where="payment_intent_data")
    lines = new_lines(work, params["line_items"])
    _require_one_time(lines)
    if total(lines):
        require_chargeable(total(lines), lines[0]["currency"], param="line_items")
    session = _new_session(work, params, lines)
    intent_data = {**data, "metadata": merge_metadata({}, data.get("metadata", {}))}
    work.remember(session["id"], lines=lines, intent_data=intent_data)
    work.schedule(checkout.EXPIRE, session, at=session["expires_at"])
    return session


@sessions.on("post", "/v1/checkout/sessions/{session}", takes="metadata")
def update(work: Work, params: Body, session: str) -> Body:
    body = work.find("checkout.session", session)
    work.change(body, **changes(body, params, "metadata"))
    return body


@sessions.on("post", "/v1/checkout/sessions/{session}/expire")
def expire(work: Work, session: str) -> Body:
    body = work.find("checkout.session", session)
    checkout.expire(work, body)
    return body


@sessions.job(checkout.EXPIRE)
def expire_by_itself(work: Work, subject: str) -> None:
    checkout.expire(work, work.find("checkout.session", subject))


@sessions.on("get", "/v1/checkout/sessions/{session}/line_items", takes=None)
def line_items(work: Work, params: Body, session: str) -> Body:
    body = work.find("checkout.session", session)
    lines = work.note(body["id"])["lines"]
    return page(lines, "line item", params, url=f"/v1/checkout/sessions/{session}/line_items")


@sessions.includes("line_items")
def shown_line_items(work: Work, session: Body) -> Body:
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return as_list(work.note(session["id"])["lines"], url=url)


@sessions.beside_contract("get", "/v1/payment_pages/{session}")
def payment_page(work: Work, session: str) -> Body:
    return _payment_page(work, work.find("checkout.session", session))


@sessions.beside_contract(
    "post", "/v1/payment_pages/{session}/confirm", takes="payment_method expected_amount"
)
def confirm(work: Work, params: Body, session: str) -> Body:
    body = work.find("checkout.session", session)
    for name in ("payment_method", "expected_amount"):
        if name not in params:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if params["expected_amount"] != str(body["amount_total"]):
        raise invalid(
            f"The expected amount {params['expected_amount']} is not the session's amount"
            f" {body['amount_total']}.",
            param="expected_amount",
        )
    checkout.pay(work, body, params["payment_method"])
    return _payment_page(work, body)


def _new_session(work: Work, params: Body, lines: list[Body]) -> Body:
    id = f"cs_test_a1{secrets.token_hex(28)}"
    amount, currency = total(lines), lines[0]["currency"]
    wished = given(params, f"{_OWN} {_SHOWN}")
    return work.create(
        "checkout.session",
        id=id,
        **{"customer_creation": None if "customer" in params else "if_required", **wished},
        amount_subtotal=amount,
        amount_total=amount,
        automatic_tax=_automatic_tax(params),
        currency=currency,
        customer_details=_known_customer(work, params),
        expires_at=_expiry(work, params),
        mode="payment",
        payment_method_collection="if_required",
        payment_method_types=permitted_types(["card", *_DEBITS.get(currency, [])], params),
        payment_status="unpaid" if amount else "no_payment_required",
        status="open",
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        ui_mode="hosted_page",
        url=f"{work.config.base_url}/c/pay/{id}",
    )


def _payment_page(work: Work, session: Body) -> Body:
    return {
        "id": f"ppage_{session['id'][-24:]}",
        "object": "payment_page",
        "session_id": session["id"],
        "amount_total": session["amount_total"],
        "currency": session["currency"],
        "status": session["status"],
        "payment_status": session["payment_status"],
        "payment_intent": work.get("payment_intent", session["payment_intent"]),
    }


def _require_hosted_payment(params: Body) -> None:
    for name in ("mode", "success_url", "line_items"):
        if name not in params:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if params["mode"] != "payment":
        raise not_simulated(f"Checkout Sessions in {params['mode']} mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise not_simulated(f"the ui_mode {params['ui_mode']} of Checkout Sessions")


def _require_consistent(work: Work, params: Body) -> None:
    if "customer" in params and "customer_email" in params:
        text = "You may only specify one of these parameters: customer, customer_email."
        raise invalid(text, param="customer_email")
    if "customer" in params:
        work.find("customer", params["customer"], param="customer")
    if len(params["line_items"]) > _MOST_LINES:
        raise invalid(f"A session takes up to {_MOST_LINES} line items.", param="line_items")
    if len(params.get("client_reference_id", "")) > _LONGEST_REFERENCE:
        text = f"Invalid string: must be at most {_LONGEST_REFERENCE} characters"
        raise invalid(text, param="client_reference_id")
    for name in ("success_url", "cancel_url"):
        require_url(params.get(name), param=name)


def _require_one_time(lines: list[Body]) -> None:
    if any(line["price"]["recurring"] for line in lines):
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to"
            " `subscription` mode or use only one-time prices.",
            param="mode",
        )


def _expiry(work: Work, params: Body) -> int:
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


def _known_customer(work: Work, params: Body) -> Body | None:
    customer = work.get("customer", params.get("customer"))
    email = customer["email"] if customer else params.get("customer_email")
    known = {"email": email, "tax_exempt": "none", "address": None}
    return known if email else None


def _automatic_tax(params: Body) -> Body:
    """Nothing is registered for tax here, so it comes to nothing, as at Stripe."""
    enabled = params.get("automatic_tax", {}).get("enabled", False)
    return {"enabled": enabled, "status": "complete" if enabled else None}
