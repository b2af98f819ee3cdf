"""Customers."""

import secrets
from typing import Any

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts
from stripe_sandbox.resources.payment_methods import attach, usable_method

customers = Resource(
    "customer",
    id_prefix="cus",
    search="created email metadata name phone",
)

_FIELDS = (
    "address balance business_name description email individual_name invoice_prefix"
    " invoice_settings metadata name next_invoice_sequence phone preferred_locales shipping"
    " tax_exempt test_clock"
)


_DEFAULT = "default_payment_method"
_OLDER = "coupon promotion_code"


@customers.on("post", "/v1/customers", takes=f"{_FIELDS} payment_method source", older=_OLDER)
def create(work: Work, params: Body) -> Body:
    method = _method(work, params)
    settings = _settings(work, params, method, of=None)
    customer = new_customer(work, **{**given(params, _FIELDS), "invoice_settings": settings})
    if method:
        attach(work, method, customer)
    _give_discount(work, customer, params)
    return customer


@customers.on("post", "/v1/customers/{customer}", takes=f"{_FIELDS} source", older=_OLDER)
def update(work: Work, params: Body, customer: str) -> Body:
    body = work.find("customer", customer)
    new = changes(body, params, _FIELDS)
    method = _method(work, params)
    if method:
        attach(work, method, body)
    if method or "invoice_settings" in params:
        settings = _settings(work, params, method, of=customer)
        new["invoice_settings"] = {**body["invoice_settings"], **settings}
    work.announce("customer.updated", body, **new)
    _give_discount(work, body, params)
    return body


@customers.on("delete", "/v1/customers/{customer}")
def delete(work: Work, customer: str) -> Body:
    body = work.find("customer", customer)
    work.emit("customer.deleted", body)
    return work.delete(body, leave_trace=True)


def new_customer(work: Work, **fields: Any) -> Body:
    customer = work.create(
        "customer",
        **{
            "balance": 0,
            "delinquent": False,
            "invoice_prefix": secrets.token_hex(4).upper(),
            "invoice_settings": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
            **fields,
        },
    )
    work.emit("customer.created", customer)
    return customer


@customers.follows("invoice.payment_failed")
def follow_failure(work: Work, invoice: Body) -> None:
    if work.note(invoice["id"]).get("retrying"):
        follow_delay(work, invoice)


@customers.follows("invoice.overdue")
def follow_delay(work: Work, invoice: Body) -> None:
    _owe(work, invoice, delinquent=True)


@customers.follows("invoice.paid", "invoice.marked_uncollectible")
def follow_payment(work: Work, invoice: Body) -> None:
    _owe(work, invoice, delinquent=False)


def _owe(work: Work, invoice: Body, *, delinquent: bool) -> None:
    """What last became of any invoice of a customer, by itself or by a payment."""
    customer = work.get("customer", invoice["customer"])
    if customer and not customer.get("deleted"):
        work.announce("customer.updated", customer, delinquent=delinquent)


def _method(work: Work, params: Body) -> Body | None:
    """The card that comes along; a source is one too."""
    name = "source" if "source" in params else "payment_method"
    return usable_method(work, params[name], param=name) if name in params else None


def _settings(work: Work, params: Body, method: Body | None, *, of: str | None) -> Body:
    """The parameter `invoice_settings`, in which the method that comes along may be the default."""
    settings = {k: v or None for k, v in params.get("invoice_settings", {}).items()}
    wanted = settings.get(_DEFAULT)
    if method and ("source" in params or wanted in (params["payment_method"], method["id"])):
        settings[_DEFAULT] = method["id"]
    elif wanted and (
        of is None or (work.get("payment_method", wanted) or {}).get("customer") != of
    ):
        raise invalid(
            f"The customer does not have a payment method with the ID {wanted}. The payment method"
            " must be attached to the customer.",
            code="resource_missing",
            param=f"invoice_settings[{_DEFAULT}]",
        )
    return settings


def _give_discount(work: Work, customer: Body, params: Body) -> None:
    for way in _OLDER.split():
        if way in params:
            wanted = [{way: params[way]}] if params[way] else []
            discounts.give_to_customer(work, customer, wanted)
