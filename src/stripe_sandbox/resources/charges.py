"""Charges: one for each attempt to take money."""

from typing import Any

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.plain import updates
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import Decline, Instrument
from stripe_sandbox.flows.money import stripe_fee
from stripe_sandbox.resources.balance import announce_available, post
from stripe_sandbox.resources.payment_methods import card_details, instrument_of

charges = Resource(
    "charge",
    id_prefix="ch",
    search="amount billing_details.address.postal_code created currency customer disputed metadata"
    " payment_method_details.card.brand payment_method_details.card.exp_month"
    " payment_method_details.card.exp_year payment_method_details.card.fingerprint"
    " payment_method_details.card.last4 refunded status",
)

_FIELDS = "customer description fraud_details metadata receipt_email shipping transfer_group"
_OF_INTENT = (
    "amount currency customer description receipt_email shipping statement_descriptor"
    " statement_descriptor_suffix"
)
_RISK = {"normal": 12, "elevated": 68, "highest": 94}


def record_charge(
    work: Work, intent: Body, method: Body, *, status: str, decline: Decline | None = None
) -> Body:
    """One attempt of an intent, with what the intent says about it."""
    instrument = instrument_of(work, method)
    captured = status != "failed" and intent["capture_method"] != "manual"
    charge = work.create(
        "charge",
        id=None if instrument.type == "card" else work.new_id("charge").replace("ch_", "py_"),
        amount_captured=intent["amount"] if captured and status == "succeeded" else 0,
        billing_details=method["billing_details"],
        calculated_statement_descriptor=_descriptor(intent),
        captured=captured,
        failure_code=decline.code if decline else None,
        failure_message=decline.message if decline else None,
        metadata=dict(intent["metadata"]),
        outcome=_outcome(instrument, decline),
        paid=status == "succeeded",
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_method_details(intent, instrument),
        radar_options={},
        status=status,
        **{name: intent[name] for name in _OF_INTENT.split()},
    )
    work.change(charge, fraud_details={}, receipt_url=_receipt(work, charge))
    return charge


def book(work: Work, charge: Body) -> None:
    """Book the captured amount and its fee."""
    instrument = instrument_of(work, work.find("payment_method", charge["payment_method"]))
    transaction = post(
        work,
        type="charge" if instrument.type == "card" else "payment",
        amount=charge["amount_captured"],
        fee=stripe_fee(charge["amount_captured"], charge["currency"]),
        source=charge,
        at_once=instrument.available_at_once,
    )
    work.change(charge, balance_transaction=transaction["id"])
    if instrument.available_at_once:
        announce_available(work)


@charges.job("charge.book")
def book_later(work: Work, charge: Body) -> None:
    book(work, charge)
    work.emit("charge.updated", charge, previous={"balance_transaction": None})


updates(charges, "/v1/charges/{charge}", _FIELDS)


@charges.includes("refunds")
def refunds_of(work: Work, charge: Body) -> Body:
    refunds = work.every("refund", charge=charge["id"])
    return page(refunds, "refund", {}, url=f"/v1/charges/{charge['id']}/refunds")


def _receipt(work: Work, charge: Body) -> str | None:
    return f"{work.config.base_url}/receipts/{charge['id']}" if charge["paid"] else None


def _descriptor(intent: Body) -> str:
    suffix = intent["statement_descriptor_suffix"]
    return f"SANDBOX* {suffix.upper()}" if suffix else "SANDBOX"


def _outcome(instrument: Instrument, decline: Decline | None) -> Body:
    risk = "highest" if decline and decline.blocked else instrument.risk_level
    outcome: dict[str, Any] = {
        "network_status": "approved_by_network",
        "risk_level": risk,
        "risk_score": _RISK[risk],
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if decline and decline.blocked:
        outcome |= {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
        }
    elif decline:
        outcome |= {
            "advice_code": decline.advice_code,
            "network_decline_code": decline.network_decline_code,
            "network_status": "declined_by_network",
            "reason": decline.decline_code or decline.code,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        }
    return outcome


def _method_details(intent: Body, instrument: Instrument) -> Body:
    if instrument.type != "card":
        country = {"country": instrument.country} if instrument.type == "sepa_debit" else {}
        details = {"last4": instrument.last4, **country}
        return {"type": instrument.type, instrument.type: details}
    card = {**card_details(instrument), "network": instrument.brand}
    if intent["capture_method"] != "manual":
        card["amount_authorized"] = intent["amount"]
    return {"type": "card", "card": card}
