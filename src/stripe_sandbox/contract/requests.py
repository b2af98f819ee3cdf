"""Closed validators of request parameters, built from the SDK's types, one route at a time."""

import functools
import importlib
import re
import sys
import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

import stripe._request_options as request_options
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import TypedDict, get_type_hints, is_typeddict

from stripe_sandbox.contract.errors import StripeError, invalid, missing
from stripe_sandbox.contract.routes import Route

_OPTIONS = frozenset(request_options.RequestOptions.__annotations__)
_INTEGER = re.compile(r"-?[0-9]+\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]*)?\Z")
_READABLE = 400
_DIGITS = 15
_LATEST = 99_999_999_999  # a time in the year 5138
_IS_TIME = re.compile(r"(_at|_by|_date|_end|_start|_time|_anchor|^start|^end|^timestamp)$")


def validate(route: Route, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their types, or Stripe's 400 about the first one that is wrong."""
    if not route.params_name:
        return given
    try:
        accepted: dict[str, Any] = _validator(route).validate_python(given)
    except ValidationError as error:
        raise _refusal(error, given) from None
    _require_times(accepted)
    return accepted


def _require_times(params: Any, at: str = "") -> None:
    """A time that no calendar has is refused here, once for all."""
    pairs = params.items() if isinstance(params, dict) else enumerate(params)
    for name, value in pairs:
        place = f"{at}[{name}]" if at else str(name)
        if isinstance(value, dict | list):
            _require_times(value, place)
        elif isinstance(value, int) and _IS_TIME.search(str(name)) and not 0 <= value <= _LATEST:
            text = f"Invalid timestamp: {value} is no Unix timestamp of this age"
            raise invalid(text, code="parameter_invalid_integer", param=place)


def parameters(route: Route) -> frozenset[str]:
    """The names of what the contract takes there."""
    return frozenset(closed_params(route).__annotations__) if route.params_name else frozenset()


def closed_params(route: Route) -> Any:
    """The TypedDict of a route's parameters, as strict as Stripe is."""
    return _closed(getattr(importlib.import_module(route.params_module), route.params_name))


@functools.cache
def _validator(route: Route) -> TypeAdapter[Any]:
    return TypeAdapter(closed_params(route))


@functools.cache
def _closed(params: Any) -> Any:
    """The SDK's TypedDict without its request options, refusing what it does not declare."""
    names = {
        **vars(request_options),
        **vars(sys.modules[params.__module__]),
        "StripeContext": Any,  # imported by the SDK for type checkers only
    }
    hints = get_type_hints(params, globalns=names, localns=names, include_extras=True)
    options = _OPTIONS if set(hints) >= _OPTIONS else frozenset()
    fields = {
        name: _typed(hint) if name in params.__required_keys__ else NotRequired[_typed(hint)]
        for name, hint in hints.items()
        if name not in options
    }
    build: Any = TypedDict  # a TypedDict made at run time is no static type
    closed = build(params.__name__, fields)
    closed.__pydantic_config__ = ConfigDict(extra="forbid")
    return closed


def _typed(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (NotRequired, Required):
        return _typed(arguments[0])
    if is_typeddict(hint):
        return _closed(hint)
    if origin is list:
        return Annotated[types.GenericAlias(list, _typed(arguments[0])), BeforeValidator(_as_list)]
    if origin is dict:
        return types.GenericAlias(dict, (arguments[0], _typed(arguments[1])))
    if origin in (Union, types.UnionType):
        return reduce(or_, (_typed(member) for member in _members(arguments)))
    return {int: _INT, bool: _BOOL, float: _FLOAT}.get(hint, hint)


def _members(arguments: tuple[Any, ...]) -> list[Any]:
    """The SDK opens every enum (`Literal[…] | str`) so that old clients live on."""
    members = [m for m in arguments if UntypedStripeObject not in (m, get_origin(m))]
    enums = [m for m in members if get_origin(m) is Literal and set(get_args(m)) - {""}]
    return [m for m in members if m is not str] if enums else members


def _as_integer(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, str) and not _INTEGER.match(value)):
        raise ValueError(f"Invalid integer: {value}")
    if len(str(value)) > _DIGITS:
        raise ValueError(f"Invalid integer: it has more than {_DIGITS} digits")
    return value


def _as_number(value: Any) -> Any:
    if not isinstance(value, str | float | int) or not _DECIMAL.match(str(value)):
        raise ValueError(f"Invalid decimal: {value}")
    return float(value)


def _as_boolean(value: Any) -> Any:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise ValueError(f"Invalid boolean: {value}")


def _as_list(value: Any) -> Any:
    if isinstance(value, dict) and value and all(str(key).isdigit() for key in value):
        return [value[key] for key in sorted(value, key=int)]
    return value


_INT = Annotated[int, BeforeValidator(_as_integer)]
_BOOL = Annotated[bool, BeforeValidator(_as_boolean)]
_FLOAT = Annotated[float, BeforeValidator(_as_number)]


def _refusal(error: ValidationError, given: dict[str, Any]) -> StripeError:
    problems = [(_place(problem, given), problem) for problem in error.errors()]
    # A union reports one problem for each of its members; the deepest is about what was meant.
    place, problem = max(problems, key=lambda found: len(found[0]))
    name = place[0] + "".join(f"[{part}]" for part in place[1:]) if place else ""
    kind = problem["type"]
    if kind == "extra_forbidden":
        return invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    if kind == "missing":
        return missing(name)
    return _wrong_value(place, name, problem)


def _place(problem: ErrorDetails, given: Any) -> list[str]:
    """The location without the names of union members, which pydantic puts between the keys."""
    place: list[str] = []
    for part in problem["loc"]:
        if isinstance(given, dict) and str(part) in given:
            given = given[str(part)]
            place.append(str(part))
    if problem["type"] == "missing":
        place.append(str(problem["loc"][-1]))
    return place


def _wrong_value(place: list[str], name: str, problem: ErrorDetails) -> StripeError:
    kind, message = problem["type"], problem["msg"]
    if kind == "value_error":
        text = message.removeprefix("Value error, ")
        code = "parameter_invalid_integer" if text.startswith("Invalid integer") else None
        return invalid(text, code=code, param=name)
    last = next((part for part in reversed(place) if not part.isdigit()), name)
    if kind != "literal_error":
        return invalid(f"Invalid {last}: {message}", param=name)
    allowed = problem.get("ctx", {})["expected"].replace("'", "")
    if len(allowed) > _READABLE:
        allowed = f"the documented values, which {problem['input']} is not"
    return invalid(f"Invalid {last}: must be one of {allowed}", param=name)
