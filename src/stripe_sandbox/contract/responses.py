"""Stripe's objects as the SDK declares them: fields, blank objects, closed models."""

import ast
import functools
import importlib
import inspect
import operator
import sys
import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import StripeObject

from stripe_sandbox.contract.sources import parsed

Body = dict[str, Any]
ObjectClass = Any  # a class of the SDK; its instances cannot be hashed, it can

# Hashes with a member for each payment method, of which Stripe shows only what concerns them.
_ONE_OF_MANY = frozenset(
    {"PaymentMethod", "PaymentMethodDetails", "PaymentMethodOptions", "DestinationDetails"}
)
_LEFT_OUT = frozenset({"applies_to", "currency_options", "deleted", "secret"})
_STRICT = ConfigDict(extra="forbid", strict=True)


@functools.cache
def resource_class(object: str) -> ObjectClass:
    module, name = OBJECT_CLASSES[object]
    found: ObjectClass = getattr(importlib.import_module(module), name)
    return found


@functools.cache
def event_types() -> frozenset[str]:
    hint = fields(resource_class("event"))["type"]
    named = (get_args(member) for member in alternatives(hint) if get_origin(member) is Literal)
    return frozenset(next(named))


@functools.cache
def fields(cls: ObjectClass) -> Mapping[str, Any]:
    """Each field with its annotation, resolved although the SDK imports most names for type
    checkers only.
    """
    declared = {
        name: hint
        for name, hint in vars(cls).get("__annotations__", {}).items()
        if not name.startswith("_") and "ClassVar" not in str(hint)
    }
    stand_in = type(cls.__name__, (), {"__annotations__": declared})
    names = {**_names_for_type_checkers(sys.modules[cls.__module__]), **_enclosing_classes(cls)}
    return get_type_hints(stand_in, globalns=names, localns=names)


@functools.cache
def _names_for_type_checkers(module: types.ModuleType) -> Mapping[str, Any]:
    names: dict[str, Any] = {**vars(typing), **vars(module)}
    tree = parsed(inspect.getsource(module))
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)):
        origin = node.module or ""
        if origin.startswith("stripe.") and not origin.startswith("stripe.params"):
            source = importlib.import_module(origin)
            imported = (a for a in node.names if hasattr(source, a.name))
            names.update({a.asname or a.name: getattr(source, a.name) for a in imported})
    return names


def _enclosing_classes(cls: type) -> dict[str, Any]:
    names: dict[str, Any] = {}
    scope: Any = sys.modules[cls.__module__]
    for part in cls.__qualname__.split("."):
        scope = getattr(scope, part)
        names |= {name: value for name, value in vars(scope).items() if isinstance(value, type)}
    return names


def is_struct(hint: Any) -> bool:
    """A hash that belongs to its object and has no life of its own."""
    return (
        isinstance(hint, type)
        and issubclass(hint, StripeObject)
        and not hasattr(hint, "OBJECT_NAME")
    )


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union without None; any other annotation alone."""
    members = get_args(hint) if get_origin(hint) is Union else (hint,)
    return tuple(member for member in members if member is not types.NoneType)


def is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, ListObject)


def blank(cls: ObjectClass) -> Body:
    """The least an answer may hold: null where null is allowed, else an empty value.

    Left out are `deleted` and what Stripe shows on request only.
    """
    parsed: Body = orjson.loads(_blank(cls))
    return parsed


@functools.cache
def _blank(cls: ObjectClass) -> bytes:
    one_of_many = cls.__name__ in _ONE_OF_MANY
    shown = {
        name: hint
        for name, hint in fields(cls).items()
        if not _only_on_request(name, hint)
        and not (one_of_many and is_nullable(hint) and any(map(is_struct, alternatives(hint))))
    }
    return orjson.dumps({name: _empty(hint) for name, hint in shown.items()})


def _only_on_request(name: str, hint: Any) -> bool:
    return name in _LEFT_OUT or (is_nullable(hint) and any(map(is_list, alternatives(hint))))


def is_array(hint: Any) -> bool:
    return get_origin(alternatives(hint)[0]) is list


def is_nullable(hint: Any) -> bool:
    return get_origin(hint) is Union and types.NoneType in get_args(hint)


def _empty(hint: Any) -> Any:
    if is_nullable(hint):
        return None
    first = alternatives(hint)[0]
    if get_origin(first) is Literal:
        return get_args(first)[0]
    if is_struct(first):
        return blank(first)
    if get_origin(first) is list:
        return []
    return {bool: False, int: 0, float: 0.0, str: "", Decimal: "0"}.get(first, {})


def filled(cls: ObjectClass, given: Body) -> Body:
    """A whole object out of the given fields: every hash in it gets all of its keys."""
    declared = fields(cls)
    body = blank(cls)
    body.update({name: _fill(declared.get(name), value) for name, value in given.items()})
    return body


def _fill(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        lists = (get_args(m)[0] for m in alternatives(hint) if get_origin(m) is list)
        member = next(lists, None)
        return [_fill(member, item) for item in value]
    structs = [member for member in alternatives(hint) if is_struct(member)]
    if isinstance(value, dict) and structs:
        return filled(structs[0], {k: v for k, v in value.items() if v != ""})
    return str(value) if isinstance(value, Decimal) else value


def check(body: Body) -> None:
    """Hold an answer, and every whole object inside it, against the SDK's declaration.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or of another type.
    """
    name = body.get("object")
    if name in ("list", "search_result"):
        _LISTS[name].validate_json(orjson.dumps(body), strict=True)
    elif isinstance(name, str) and name in OBJECT_CLASSES:
        trace = body.keys() == _Deleted.model_fields.keys()
        _checker(name, deleted=trace).validate_json(orjson.dumps(body))
    for value in body.values():
        _check_within(value)


def _check_within(value: Any) -> None:
    if isinstance(value, dict):
        check(value)
    elif isinstance(value, list):
        for item in value:
            _check_within(item)


class _Page(BaseModel):
    model_config = _STRICT
    data: list[dict[str, Any]]
    has_more: bool
    url: str


class _List(_Page):
    object: Literal["list"]


class _SearchResult(_Page):
    object: Literal["search_result"]
    next_page: str | None


class _Deleted(BaseModel):
    model_config = _STRICT
    id: str
    object: str
    deleted: Literal[True]


_LISTS: Mapping[str, TypeAdapter[Any]] = {
    "list": TypeAdapter(_List),
    "search_result": TypeAdapter(_SearchResult),
}


@functools.cache
def _checker(object: str, *, deleted: bool) -> TypeAdapter[Any]:
    return TypeAdapter(_Deleted if deleted else _model(resource_class(object)))


@functools.cache
def _model(cls: ObjectClass) -> Any:
    declared = fields(cls)
    if not declared:
        return dict[str, Any]
    build: Any = create_model  # its overloads know only fields that are written out
    members = {name: (_checked(h), None if is_nullable(h) else ...) for name, h in declared.items()}
    return build(cls.__name__, __config__=_STRICT, **members)


def _checked(hint: Any) -> Any:
    """A resource inside a resource is any hash here: `check` looks into it by itself."""
    if is_struct(hint):
        return _model(hint) if "UntypedStripeObject" not in hint.__name__ else dict[str, Any]
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, StripeObject):
        return dict[str, Any]
    if isinstance(origin, type) and issubclass(origin, StripeObject):
        return dict[str, Any]
    if origin is Union:
        return functools.reduce(operator.or_, map(_checked, arguments))
    if origin is list:
        return types.GenericAlias(list, _checked(arguments[0]))
    return hint
