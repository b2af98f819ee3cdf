"""`expand`: ids become the objects they name, along a path that the SDK's types allow."""

from dataclasses import dataclass
from typing import Any, get_args, get_origin

from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import StripeObject

from stripe_sandbox.contract.errors import StripeError, invalid
from stripe_sandbox.contract.responses import (
    Body,
    ObjectClass,
    alternatives,
    fields,
    is_list,
    is_struct,
    resource_class,
)
from stripe_sandbox.engine.work import Work

_DEEPEST = 4
_LISTS = ("list", "search_result")


def expand(work: Work, answer: Body, paths: list[str]) -> Body:
    """A copy of the answer in which every path is expanded.

    Raises:
        StripeError: a path names what cannot be expanded, or goes too deep.
    """
    for path in paths:
        steps = path.split(".")
        depth = len(steps) - (answer["object"] in _LISTS)
        if depth > _DEEPEST:
            raise invalid(
                f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}",
                param="expand",
            )
        answer = _Expansion(work, path).of(answer, None, steps)
    return answer


@dataclass(frozen=True, slots=True)
class _Expansion:
    """One path on its way through one answer."""

    work: Work
    path: str

    def of(self, body: Body, hint: Any, steps: list[str]) -> Body:
        name, *rest = steps
        if body.get("object") in _LISTS:
            return self._of_list(body, name, rest)
        field = fields(_class_of(body, hint)).get(name)
        if field is None:
            raise self._refusal()
        if body.get("deleted"):
            return body  # a trace has nothing to expand
        value = self._resolve(body, name, field, last=not rest)
        return {**body, name: self._descend(value, field, rest) if rest else value}

    def _of_list(self, body: Body, name: str, rest: list[str]) -> Body:
        if name != "data" or not rest:
            raise self._refusal()
        return {**body, "data": [self.of(item, None, rest) for item in body["data"]]}

    def _descend(self, value: Any, hint: Any, rest: list[str]) -> Any:
        if isinstance(value, list):
            return [self._descend(item, hint, rest) for item in value]
        return self.of(value, hint, rest) if isinstance(value, dict) else value

    def _resolve(self, body: Body, name: str, hint: Any, *, last: bool) -> Any:
        """What the name stands for: an object for an id, a list that is shown on request."""
        value = body.get(name)
        members = _members(hint)
        resource = self.work.catalogue.resources.get(body.get("object", ""))
        if resource and name in resource.inclusions:
            return resource.inclusions[name](self.work, body)
        if str in members and any(map(_is_resource, members)):
            return self._look_up(value)
        if any(map(is_list, members)):
            return value if value is not None else _nothing_of(body, name)
        if last or not any(map(_is_object, members)):
            raise self._refusal()
        return value

    def _look_up(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._look_up(item) for item in value]
        if not isinstance(value, str):
            return value
        return self.work.find_anywhere(value) or self.work.note(value).get("redeemed_as") or value

    def _refusal(self) -> StripeError:
        return invalid(f"This property cannot be expanded ({self.path}).", param="expand")


def _class_of(body: Body, hint: Any) -> ObjectClass:
    object = body.get("object")
    if isinstance(object, str) and object in OBJECT_CLASSES:
        return resource_class(object)
    struct: ObjectClass = next(member for member in _members(hint) if is_struct(member))
    return struct


def _members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, also of one inside a list."""
    (first, *more) = members = alternatives(hint)
    if get_origin(first) is list and not more:
        return alternatives(get_args(first)[0])
    return tuple(members)


def _is_object(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, StripeObject)


def _is_resource(member: Any) -> bool:
    return _is_object(member) and hasattr(member, "OBJECT_NAME")


def _nothing_of(body: Body, name: str) -> Body:
    url = f"/v1/{body['object']}s/{body['id']}/{name}"
    return {"object": "list", "data": [], "has_more": False, "url": url}
