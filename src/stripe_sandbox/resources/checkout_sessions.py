"""Checkout Sessions, and the two routes by which the CLI completes them."""

import secrets

from stripe_sandbox.contract.errors import invalid, missing
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import given, merge_metadata
from stripe_sandbox.engine.plain import lists, updates
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import checkout
from stripe_sandbox.flows.checkout_terms import (
    data_of,
    expiry,
    require_billable,
    require_prices,
    require_sound,
)
from stripe_sandbox.flows.customer_balance import require_combinable
from stripe_sandbox.flows.intents import permitted_types
from stripe_sandbox.flows.lines import new_lines
from stripe_sandbox.flows.money import require_chargeable


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
    " billing_address_collection branding_settings consent_collection custom_text"
    " excluded_payment_method_types locale origin_context phone_number_collection"
    " redirect_on_completion submit_type tax_id_collection"
)
_OWN = (
    "cancel_url client_reference_id currency customer customer_creation customer_email metadata"
    " payment_method_collection return_url success_url ui_mode"
)
_DEBITS = {"usd": ["us_bank_account"], "eur": ["sepa_debit"]}


@sessions.on(
    "post",
    "/v1/checkout/sessions",
    takes=f"{_OWN} {_SHOWN} automatic_tax customer_update discounts expires_at invoice_creation"
    " line_items mode payment_intent_data setup_intent_data shipping_options subscription_data",
)
def create(work: Work, params: Body) -> Body:
    require_sound(work, params)
    lines = new_lines(work, params.get("line_items", []))
    data = data_of(params)
    if params["mode"] != "setup":
        require_prices(params["mode"], lines)
        require_billable(params)
        _require_currency(params, lines)
    if params["mode"] == "subscription" and "customer" in params:
        customer = work.find("customer", params["customer"])
        require_combinable(work, customer, lines[0]["currency"])
    session = _new_session(work, params, lines)
    work.remember(
        session["id"],
        data={**data, "metadata": merge_metadata({}, data.get("metadata", {}))},
        discounts=[],
        lines=checkout.not_due_in_trial(lines, data),
        updates=params.get("customer_update", {}),
        wanted=[],
    )
    if params["mode"] == "setup":
        intent = checkout.begin_setup(work, session, **work.note(session["id"])["data"])
        work.change(session, setup_intent=intent["id"])
    else:
        checkout.retotal(work, session)
        if params.get("discounts"):
            checkout.apply_discounts(work, session, params["discounts"])
        if session["amount_total"]:
            require_chargeable(session["amount_total"], session["currency"], param="line_items")
    work.schedule(checkout.EXPIRE, session, at=session["expires_at"])
    return session


updates(sessions, "/v1/checkout/sessions/{session}", "metadata")
sessions.acts("/v1/checkout/sessions/{session}/expire")(checkout.expire)
sessions.job(checkout.EXPIRE)(checkout.expire)
sessions.follows("payment_intent.succeeded", "payment_intent.payment_failed")(
    checkout.follow_intent
)


def _lines(work: Work, session: Body) -> list[Body]:
    lines: list[Body] = work.note(session["id"])["lines"]
    return lines


lists(sessions, "/v1/checkout/sessions/{session}/line_items", "line item", _lines)


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
            raise missing(name)
    if params["expected_amount"] != str(body["amount_total"] or 0):
        raise invalid(
            f"The expected amount {params['expected_amount']} is not the session's amount"
            f" {body['amount_total']}.",
            param="expected_amount",
        )
    checkout.pay(work, body, params["payment_method"])
    return _payment_page(work, body)


def _new_session(work: Work, params: Body, lines: list[Body]) -> Body:
    id, mode = f"cs_test_a1{secrets.token_hex(28)}", params["mode"]
    currency = lines[0]["currency"] if lines else params.get("currency")
    embedded = params.get("ui_mode") == "embedded_page"
    invoiced = mode == "payment" and params.get("invoice_creation", {}).get("enabled", False)
    creation = None
    if mode == "payment" and "customer" not in params:
        creation = "always" if invoiced else "if_required"
    shown: Body = {
        "customer_creation": creation,
        "payment_method_collection": "if_required" if mode == "payment" else "always",
        "ui_mode": "hosted_page",
        **given(params, f"{_OWN} {_SHOWN}"),
        **_shipping(work, params, currency),
    }
    if mode == "payment":
        data = params.get("invoice_creation", {}).get("invoice_data", {})
        shown["invoice_creation"] = {"enabled": invoiced, "invoice_data": {"metadata": {}, **data}}
    if lines:
        shown["total_details"] = {"amount_shipping": 0}
    return work.create(
        "checkout.session",
        id=id,
        **{**shown, "currency": currency},
        automatic_tax=_automatic_tax(params),
        client_secret=f"{id}_secret_{secrets.token_hex(24)}" if embedded else None,
        customer_details=_known_customer(work, params),
        expires_at=expiry(work, params),
        mode=mode,
        payment_method_types=permitted_types(
            ["card", *_DEBITS.get(currency or "", [])],
            {**params, **params.get("payment_intent_data", {})},
        ),
        payment_status="unpaid" if lines else "no_payment_required",
        status="open",
        url=None if embedded else f"{work.config.base_url}/c/pay/{id}",
    )


def _shipping(work: Work, params: Body, currency: str | None) -> Body:
    """The first option is chosen; there is no choosing another."""
    options = []
    for i, option in enumerate(params.get("shipping_options", ())):
        at = f"shipping_options[{i}]"
        rate = _shipping_rate(work, option, at)
        fixed = rate["fixed_amount"]
        if fixed is None or fixed["currency"] != currency:
            raise invalid(f"The shipping rate is not in {currency}.", param=at)
        options.append({"shipping_amount": fixed["amount"], "shipping_rate": rate["id"]})
    if not options:
        return {}
    amount, rate_id = options[0]["shipping_amount"], options[0]["shipping_rate"]
    sums = {"amount_subtotal": amount, "amount_tax": 0, "amount_total": amount}
    return {"shipping_options": options, "shipping_cost": {**sums, "shipping_rate": rate_id}}


def _shipping_rate(work: Work, option: Body, at: str) -> Body:
    if "shipping_rate" in option:
        return work.find("shipping_rate", option["shipping_rate"], param=f"{at}[shipping_rate]")
    data = option.get("shipping_rate_data", {})
    if "fixed_amount" not in data:
        param = f"{at}[shipping_rate_data][fixed_amount]"
        raise missing(param)
    return work.create("shipping_rate", **{"active": True, "type": "fixed_amount", **data})


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


def _require_currency(params: Body, lines: list[Body]) -> None:
    currency: str = lines[0]["currency"]
    wanted: str = params.get("currency", currency)
    if wanted.lower() != currency:
        text = f"The line items are in {currency}, not in {params['currency']}."
        raise invalid(text, param="currency")


def _known_customer(work: Work, params: Body) -> Body | None:
    customer = work.get("customer", params.get("customer"))
    email = customer["email"] if customer else params.get("customer_email")
    known = {"email": email, "tax_exempt": "none", "address": None}
    return known if email else None


def _automatic_tax(params: Body) -> Body:
    if not params.get("automatic_tax", {}).get("enabled", False):
        return {"enabled": False}
    return {"enabled": True, "provider": "stripe", "status": "complete"}
