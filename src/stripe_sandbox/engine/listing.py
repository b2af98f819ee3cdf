"""Lists: newest first, cursors, `created` ranges and the filters each list route has."""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import ge, gt, le, lt
from typing import Any

from stripe_sandbox.contract.errors import invalid, no_such, not_simulated
from stripe_sandbox.contract.responses import Body, fields, resource_class
from stripe_sandbox.engine.registry import Filter, Having, Resource
from stripe_sandbox.engine.table import Table, created_of
from stripe_sandbox.engine.work import Work

_PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})
_COMPARE = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_MOST, _DEFAULT = 100, 10


def list_all(work: Work, resource: Resource, params: Body, *, url: str) -> Body:
    """The generic list of one kind of object."""
    if resource.refresh:
        resource.refresh(work)
    table, limit = work.state.table(resource.object), page_size(params)
    back = "ending_before" in params
    start, end = _span(table, resource, params)
    found = table.scan(_narrowest(resource, params), start=start, end=end, oldest_first=back)
    living = (body for body in found if not body.get("deleted"))
    chosen = list(islice(matching(living, resource, params, url=url), limit + 1))
    more, data = len(chosen) > limit, chosen[:limit]
    return {"object": "list", "data": data[::-1] if back else data, "has_more": more, "url": url}


def _span(table: Table, resource: Resource, params: Body) -> tuple[int, int | None]:
    """The positions between the cursors and within the wanted time."""
    start, end = 0, None
    created = params.get("created", {})
    if isinstance(created, int):
        created = {"gte": created, "lte": created}
    if earliest := [created[name] for name in ("gt", "gte") if name in created]:
        start = table.since(max(earliest))
    if latest := [created[name] for name in ("lt", "lte") if name in created]:
        end = table.until(min(latest))
    if "starting_after" in params:
        cursor = _cursor(table, resource, params, "starting_after")
        end = cursor if end is None else min(cursor, end)
    if "ending_before" in params:
        start = max(start, _cursor(table, resource, params, "ending_before") + 1)
    return start, end


def _cursor(table: Table, resource: Resource, params: Body, name: str) -> int:
    position = table.position(params[name])
    if position is None:
        raise no_such(resource.label, params[name], param=name, status=400)
    return position


def _narrowest(resource: Resource, params: Body) -> Having | None:
    """A filter that an index answers."""
    for name, wanted in params.items():
        if name in resource.narrow:
            having = resource.narrow[name](wanted)
            if having:
                return having
        elif isinstance(wanted, str) and name not in {*_PAGING, *resource.filters}:
            return name, (wanted,)
    return None


def matching(
    bodies: Iterable[Body], resource: Resource, params: Body, *, url: str
) -> Iterator[Body]:
    tests = [
        (_filter(resource, name, url=url), wanted)
        for name, wanted in params.items()
        if name not in _PAGING
    ]
    return (body for body in bodies if all(test(body, wanted) for test, wanted in tests))


def page(bodies: Iterable[Body], label: str, params: Body, *, url: str) -> Body:
    """One page of what is given newest first."""
    limit = page_size(params)
    items = list(bodies)
    if "ending_before" in params:
        end = _position(items, label, params, "ending_before")
        start = max(0, end - limit)
        more = start > 0
    else:
        start = _position(items, label, params, "starting_after") + 1
        end = start + limit
        more = end < len(items)
    return {"object": "list", "data": items[start:end], "has_more": more, "url": url}


def page_size(params: Body) -> int:
    limit: int = params.get("limit", _DEFAULT)
    if limit < 1:
        text = "This value must be greater than or equal to 1."
        raise invalid(text, code="parameter_invalid_integer", param="limit")
    if limit > _MOST:
        text = f"This value must be less than or equal to {_MOST} (you passed {limit})."
        raise invalid(text, code="parameter_invalid_integer", param="limit")
    return limit


def _position(items: list[Body], label: str, params: Body, cursor: str) -> int:
    id = params.get(cursor)
    if id is None:
        return -1
    found = next((i for i, body in enumerate(items) if body["id"] == id), None)
    if found is None:
        raise no_such(label, id, param=cursor, status=400)
    return found


def filters(resource: Resource, name: str) -> bool:
    """Whether the generic list honours this parameter."""
    declared = fields(resource_class(resource.object))
    return name in {*_PAGING, *resource.filters, "created", *declared}


def _filter(resource: Resource, name: str, *, url: str) -> Filter:
    if name in resource.filters:
        return resource.filters[name]
    if name == "created":
        return within("created")
    if not filters(resource, name):
        raise not_simulated(f"the parameter {name} of GET {url}")
    return lambda body, wanted: _id(body.get(name)) == wanted


def _id(value: Any) -> Any:
    return value.get("id", value) if isinstance(value, dict) else value


def within(field: str) -> Filter:
    """A time that is asked for by itself or by its bounds."""

    def test(body: Body, wanted: Any) -> bool:
        bounds = wanted if isinstance(wanted, dict) else {"gte": wanted, "lte": wanted}
        at = created_of(body) if field == "created" else body[field]
        return at is not None and all(_COMPARE[name](at, bound) for name, bound in bounds.items())

    return test
