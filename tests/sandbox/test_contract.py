"""The SDK is the specification: what is derived from it is complete and closed."""

import re
import runpy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe
from pydantic import ValidationError

from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.contract.forms import MalformedForm, parse_form
from stripe_sandbox.contract.requests import _validator, validate
from stripe_sandbox.contract.responses import (
    blank,
    check,
    fields,
    filled,
    is_struct,
    resource_class,
)
from stripe_sandbox.contract.routes import match, routes
from stripe_sandbox.engine.registry import Catalogue, Misdeclared, Resource, catalogue
from stripe_sandbox.testing import Bench

ROOT = Path(__file__).resolve().parents[2]

DOWNLOADS = {("get", "/v1/quotes/{quote}/pdf")}
"""What the SDK reads as a stream; these are no routes of the contract."""

SEVERAL_CLASSES = {
    "/v1/accounts/{account}/external_accounts",
    "/v1/accounts/{account}/external_accounts/{id}",
    "/v1/customers/{customer}/sources",
    "/v1/customers/{customer}/sources/{id}",
}
"""Where one answer may be of several classes, which says nothing about a resource."""

FREE = {
    "event.data.object",
    "event.data.previous_attributes",
    "payment_intent.next_action.use_stripe_sdk",
    "setup_intent.next_action.use_stripe_sdk",
}
"""The fields that the SDK leaves open; besides them, metadata and what has no fields at all."""


def refusal(verb: str, path: str, form: str) -> dict[str, object]:
    with pytest.raises(StripeError) as refused:
        validate(routes()[verb, path], parse_form(form))
    return refused.value.error


def test_every_method_of_the_sdk_is_a_route() -> None:
    assert len(routes()) > 500
    assert all(route.path.startswith("/v1/") and route.answers for route in routes().values())


def test_a_literal_segment_wins_over_a_placeholder() -> None:
    found = match("get", "/v1/customers/search")
    assert found is not None
    assert found[0].path == "/v1/customers/search"
    assert match("get", "/v1/customers/cus_1") == (
        routes()["get", "/v1/customers/{customer}"],
        {"customer": "cus_1"},
    )
    assert match("get", "/v1/nothing/of/this") is None


def test_every_declared_behaviour_is_a_route_of_stripe_or_says_that_it_is_not() -> None:
    beside = {key for key, b in catalogue().behaviours.items() if not b.route.answers}
    assert beside == {
        ("get", "/v1/files/{file}/contents"),
        ("get", "/v1/payment_pages/{session}"),
        ("get", "/v1/quotes/{quote}/pdf"),
        ("post", "/v1/events/{event}/retry"),
        ("post", "/v1/payment_pages/{session}/confirm"),
    }
    assert set(catalogue().behaviours) - beside <= set(routes())


def test_a_misspelt_route_is_refused_when_it_is_declared() -> None:
    with pytest.raises(Misdeclared, match="Stripe has no POST /v1/custmers"):
        Resource("customer", id_prefix="cus").on("post", "/v1/custmers")


LATER = ("invoice", "invoice_payment", "quote", "subscription", "setup_intent")


@pytest.mark.parametrize("object", sorted([*catalogue().resources, *LATER]))
def test_every_object_has_a_blank_form_of_its_declared_fields(object: str) -> None:
    assert blank(resource_class(object)).keys() <= resource_class(object).__annotations__.keys()


@pytest.mark.parametrize("object", ["charge", "checkout.session", "payment_intent", "refund"])
def test_a_field_that_stripe_does_not_have_is_found_in_an_answer(object: str) -> None:
    body = filled(resource_class(object), {"id": "x"})
    check(body)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        check({**body, "invented": 1})
    with pytest.raises(ValidationError, match="valid string"):
        check({**body, "id": 7})


def test_an_answer_is_checked_inside_lists_and_expansions() -> None:
    bad = {**blank(resource_class("customer")), "invented": 1}
    good = {**blank(resource_class("charge")), "customer": bad}
    with pytest.raises(ValidationError):
        check({"object": "list", "data": [good], "has_more": False, "url": "/v1/charges"})


@pytest.mark.parametrize(
    ("form", "message", "code"),
    [
        ("currency=usd", "Missing required param: amount.", "parameter_missing"),
        ("amount=ten&currency=usd", "Invalid integer: ten", "parameter_invalid_integer"),
        ("amount=10.5&currency=usd", "Invalid integer: 10.5", "parameter_invalid_integer"),
        ("amount=1&currency=usd&confirm=yes", "Invalid boolean: yes", None),
        ("amount=1&currency=usd&a[b]=1", "Received unknown parameter: a", "parameter_unknown"),
        (
            "amount=1&currency=usd&payment_method_types[0]=card",
            "Received unknown parameter: payment_method_types",
            "parameter_unknown",
        ),
        (
            "amount=1&currency=usd&shipping[address][cty]=x&shipping[name]=y",
            "Received unknown parameter: shipping[address][cty]",
            "parameter_unknown",
        ),
        (
            "amount=1&currency=usd&capture_method=later",
            "Invalid capture_method: must be one of automatic, automatic_async or manual",
            None,
        ),
    ],
)
def test_a_wrong_parameter_is_named_in_stripes_words(
    form: str, message: str, code: str | None
) -> None:
    error = refusal("post", "/v1/payment_intents", form)
    assert (error["message"], error.get("code")) == (message, code)


def test_enums_are_closed_although_the_sdk_opens_them() -> None:
    reason = refusal("post", "/v1/refunds", "charge=ch_1&reason=customer_request")
    assert reason["param"] == "reason"
    events = refusal("post", "/v1/webhook_endpoints", "url=x&enabled_events[]=charge.created")
    assert events["param"] == "enabled_events[0]"
    assert "charge.created is not" in str(events["message"])


def test_numbered_keys_are_a_list_or_a_hash_as_the_parameter_wants() -> None:
    route = routes()["post", "/v1/customers"]
    form = "metadata[0]=a&metadata[1]=b&preferred_locales[]=de&preferred_locales[]=en"
    assert validate(route, parse_form(form)) == {
        "metadata": {"0": "a", "1": "b"},
        "preferred_locales": ["de", "en"],
    }


def test_a_name_cannot_be_a_value_and_a_hash() -> None:
    with pytest.raises(MalformedForm):
        parse_form("a=1&a[b]=2")


def test_a_route_is_declared_once() -> None:
    resource = Resource("customer", id_prefix="cus")
    declare = resource.on("post", "/v1/customers")
    declare(dict)
    with pytest.raises(Misdeclared, match="declared twice"):
        declare(dict)
    with pytest.raises(Misdeclared, match="declared twice"):
        Catalogue([resource, resource])


def test_every_request_validator_builds_and_is_closed() -> None:
    """An annotation that is new in the SDK is taught to `_typed` in contract/requests.py."""
    open_, broken = [], {}
    for route in routes().values():
        try:
            _validator(route).validate_python({"invented": "1"})
        except ValidationError as error:
            if ("invented",) not in {e["loc"] for e in error.errors()}:
                open_.append(str(route))
        except Exception as error:  # noqa: BLE001 - whatever the SDK's next release breaks
            broken[str(route)] = repr(error)
    assert broken == {}, "contract/requests.py builds no validator of these"
    assert open_ == [], "these let through what Stripe would refuse"


def test_every_request_of_the_sdk_is_a_route_of_the_contract() -> None:
    """A call in another form is taught to `_route` in contract/routes.py."""
    requests = set(requests_of_the_sdk())
    assert len(requests) > 500
    assert requests - routes().keys() == DOWNLOADS


def requests_of_the_sdk() -> Iterator[tuple[str, str]]:
    """Read without the help of the code under test."""
    call = re.compile(r"self\._request\w*\(\s*\"(\w+)\",\s*\"(/v1/[^\"]+)\"")
    for module in Path(stripe.__file__).parent.rglob("_*_service.py"):
        yield from call.findall(module.read_text())


def test_every_route_answers_with_a_class_of_the_sdk() -> None:
    """A return type in another form is taught to `_answer` in contract/routes.py."""
    unknown = {r.path for r in routes().values() if not r.answers.isidentifier()}
    assert unknown == SEVERAL_CLASSES
    known = {(r.answers_module, r.answers) for r in routes().values() if r.answers.isidentifier()}
    nowhere = [name for module, name in known if not hasattr(import_module(module), name)]
    assert nowhere == []


@pytest.mark.parametrize("object", sorted(catalogue().resources))
def test_every_simulated_resource_has_a_closed_model(object: str) -> None:
    """What a new release leaves open is closed in contract/responses.py, or is named in FREE."""
    body = filled(resource_class(object), {"id": "x"})
    with pytest.raises(ValidationError) as refused:
        check({**body, "invented": 1})
    assert ("invented",) in {error["loc"] for error in refused.value.errors()}
    assert set(free(resource_class(object), object, ())) <= FREE


def free(cls: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
    """The fields without a type, however deep."""
    for name, hint in fields(cls).items():
        for member in members(hint):
            if is_struct(member) and member not in above:
                yield from free(member, f"{path}.{name}", (*above, member))
            elif member is Any and name != "metadata":
                yield f"{path}.{name}"


def members(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in get_args(hint):
        yield from members(argument)


async def test_a_bench_does_not_end_well_with_an_event_that_stripe_would_not_send() -> None:
    with pytest.raises(ValidationError, match="invented"):
        await announce({"object": "customer", "invented": 1})


async def announce(object: dict[str, Any]) -> None:
    async with Bench.open() as bench:
        with bench.app.sandbox.work() as work:
            work.emit("customer.created", object)


def test_the_table_of_what_is_done_is_up_to_date() -> None:
    """New routes and parameters of the SDK appear in it: look whether they concern us."""
    tool = runpy.run_path(str(ROOT / "tools/sandbox_table.py"))
    written = (ROOT / "docs/SANDBOX.md").read_text(encoding="utf-8")
    assert written == tool["document"](), f"run {tool['COMMAND']}"
