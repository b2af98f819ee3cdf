"""Customers."""

import secrets

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.resources.payment_methods import attach, usable_method

customers = Resource(
    "customer",
    id_prefix="cus",
    search=frozenset({"created", "email", "metadata", "name", "phone"}),
)

_FIELDS = (
    "address balance business_name description email individual_name invoice_prefix"
    " invoice_settings metadata name next_invoice_sequence phone preferred_locales shipping"
    " tax_exempt test_clock"
)


@customers.on("post", "/v1/customers", takes=f"{_FIELDS} payment_method")
def create(work: Work, params: Body) -> Body:
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
            **given(params, _FIELDS),
        },
    )
    work.emit("customer.created", customer)
    if "payment_method" in params:
        attach(work, usable_method(work, params["payment_method"]), customer)
    return customer


@customers.on("post", "/v1/customers/{customer}", takes=_FIELDS)
def update(work: Work, params: Body, customer: str) -> Body:
    body = work.find("customer", customer)
    new = changes(body, params, _FIELDS)
    if "invoice_settings" in params:
        given_settings = {k: v or None for k, v in params["invoice_settings"].items()}
        new["invoice_settings"] = {**body["invoice_settings"], **given_settings}
    work.announce("customer.updated", body, **new)
    return body


@customers.on("delete", "/v1/customers/{customer}")
def delete(work: Work, customer: str) -> Body:
    body = work.find("customer", customer)
    work.emit("customer.deleted", body)
    return work.delete(body, leave_trace=True)
