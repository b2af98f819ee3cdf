"""Payment methods: test cards and test bank accounts as objects."""

from dataclasses import asdict
from time import gmtime
from typing import NoReturn

from stripe_sandbox.contract.errors import CardDeclined, invalid, missing, refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import matching, page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.cards import Decline, Instrument, judge, recognise

payment_methods = Resource(
    "payment_method", id_prefix="pm", label="PaymentMethod", param="payment_method"
)

_EXPIRY_YEARS = 8
_NOWHERE = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_NOTHING_KNOWN: Body = {"address": {}, "email": None, "name": None, "phone": None, "tax_id": None}


def usable_method(
    work: Work, text: str, *, param: str = "payment_method", billing: Body | None = None
) -> Body:
    """The method with this id; a test method, token, card number or IBAN becomes a new one.

    Raises:
        StripeError: there is no such method.
        CardDeclined: a card number that no test card has.
    """
    instrument = judge(text) if text.replace(" ", "").isdigit() else recognise(text)
    if isinstance(instrument, Decline):
        raise_for(instrument)
    if instrument is None:
        return work.find("payment_method", text, param=param)
    return method_for(work, instrument, billing=billing)


def method_in(work: Work, params: Body) -> Body | None:
    """The method that the parameters of an intent name or describe."""
    if "payment_method" in params:
        return usable_method(work, params["payment_method"])
    if "payment_method_data" in params:
        return method_from_data(work, params["payment_method_data"])
    return None


def method_for(work: Work, instrument: Instrument, *, billing: Body | None = None) -> Body:
    details: Body = {instrument.type: _details(instrument)}
    method = work.create(
        "payment_method",
        type=instrument.type,
        allow_redisplay="unspecified",
        billing_details={**_NOTHING_KNOWN, **(billing or {})},
        **details,
    )
    work.remember(method["id"], number=instrument.number)
    return method


def instrument_of(work: Work, method: Body) -> Instrument:
    instrument = recognise(work.note(method["id"])["number"])
    assert instrument is not None
    return instrument


def raise_for(decline: Decline) -> NoReturn:
    facts = {name: value for name, value in asdict(decline).items() if name != "blocked"}
    param = "number" if decline.code == "incorrect_number" else None
    raise CardDeclined(**facts, param=param)


def attach(work: Work, method: Body, customer: Body) -> None:
    """Bind a method to a customer; a card that declines is refused here already."""
    if method["customer"] == customer["id"]:
        return
    if method["customer"]:
        raise refused("The payment method you provided has already been attached to a customer.")
    instrument = instrument_of(work, method)
    if instrument.decline and not instrument.attachable:
        raise_for(instrument.decline)
    work.change(method, customer=customer["id"])
    work.emit("payment_method.attached", method)


@payment_methods.on(
    "post",
    "/v1/payment_methods",
    takes="type card us_bank_account sepa_debit billing_details metadata allow_redisplay",
)
def create(work: Work, params: Body) -> Body:
    if "type" not in params:
        raise missing("type")
    method = method_from_data(work, params)
    work.change(method, **given(params, "metadata allow_redisplay"))
    return method


def method_from_data(work: Work, data: Body) -> Body:
    """A method out of `{type, card | us_bank_account | sepa_debit, billing_details}`."""
    type = data["type"]
    number = _number(type, data.get(type, {}))
    instrument = judge(number) if type == "card" else recognise(number)
    if isinstance(instrument, Decline):
        raise_for(instrument)
    if instrument is None:
        raise invalid(f"No test {type} has the number {number}.", param=type)
    return method_for(work, instrument, billing=data.get("billing_details"))


@payment_methods.acts(
    "/v1/payment_methods/{payment_method}", takes="allow_redisplay billing_details card metadata"
)
def update(work: Work, method: Body, params: Body) -> None:
    new = changes(method, params, "allow_redisplay metadata")
    require_simulated(params.get("card", {}), "exp_month exp_year", where="card")
    for name in ("billing_details", "card"):
        if name in params and name not in method:
            raise invalid(f"You cannot update {name} of a {method['type']}.", param=name)
        if name in params:
            new[name] = {**method[name], **_emptied(params[name])}
    work.announce("payment_method.updated", method, **new)


def _emptied(given: Body) -> Body:
    """What is empty is null; an address keeps its keys."""
    values = {name: None if value == "" else value for name, value in given.items()}
    if "address" in given:
        lines = given["address"] or {}
        values["address"] = {**_NOWHERE, **{name: text or None for name, text in lines.items()}}
    return values


@payment_methods.on("post", "/v1/payment_methods/{payment_method}/attach", takes="customer")
def attach_to_customer(work: Work, params: Body, payment_method: str) -> Body:
    customer = work.named("customer", params)
    method = usable_method(work, payment_method)
    attach(work, method, customer)
    return method


@payment_methods.acts("/v1/payment_methods/{payment_method}/detach")
def detach(work: Work, method: Body) -> None:
    if not method["customer"]:
        raise refused(
            "The payment method you provided is not attached to a customer so detachment is"
            " impossible."
        )
    _forget_default(work, method)
    previous = work.change(method, customer=None)
    work.emit("payment_method.detached", method, previous=previous)


def _forget_default(work: Work, method: Body) -> None:
    customer = work.get("customer", method["customer"]) or {}
    settings = customer.get("invoice_settings", {})
    if settings.get("default_payment_method") == method["id"]:
        settings = {**settings, "default_payment_method": None}
        work.announce("customer.updated", customer, invoice_settings=settings)


@payment_methods.on("get", "/v1/customers/{customer}/payment_methods", takes=None)
def of_customer(work: Work, params: Body, customer: str) -> Body:
    work.find("customer", customer)
    url = f"/v1/customers/{customer}/payment_methods"
    wanted = {**params, "customer": customer}
    mine = matching(
        work.every("payment_method", customer=customer), payment_methods, wanted, url=url
    )
    return page(mine, payment_methods.label, params, url=url)


@payment_methods.on("get", "/v1/customers/{customer}/payment_methods/{payment_method}")
def one_of_customer(work: Work, customer: str, payment_method: str) -> Body:
    method = work.find("payment_method", payment_method)
    if method["customer"] != work.find("customer", customer)["id"]:
        return work.find("payment_method", f"{payment_method} of {customer}")
    return method


def _number(type: str, details: Body) -> str:
    names = {"card": ("number", "token"), "sepa_debit": ("iban",)}.get(type, ("account_number",))
    found = next((details[name] for name in names if name in details), None)
    if found is None:
        name = f"{type}[{names[0]}]"
        raise missing(name)
    return str(found)


def _details(instrument: Instrument) -> Body:
    shared: Body = {
        "fingerprint": f"sandbox{instrument.number[-9:]}",
        "last4": instrument.last4,
    }
    match instrument.type:
        case "us_bank_account":
            return {
                **shared,
                "account_holder_type": "individual",
                "account_type": "checking",
                "bank_name": "STRIPE TEST BANK",
                "routing_number": "110000000",
            }
        case "sepa_debit":
            bank, country = instrument.number[4:9], instrument.country
            return {**shared, "bank_code": bank, "branch_code": "", "country": country}
        case _:
            return {**shared, **card_details(instrument), "display_brand": instrument.brand}


def card_details(instrument: Instrument) -> Body:
    """What a payment method and a charge both show of a card."""
    return {
        "brand": instrument.brand,
        "checks": {"cvc_check": "pass"},
        "country": instrument.country,
        "exp_month": 12,
        "exp_year": gmtime().tm_year + _EXPIRY_YEARS,
        "funding": instrument.funding,
        "last4": instrument.last4,
        "regulated_status": "unregulated",
    }
