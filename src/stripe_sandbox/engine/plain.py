"""What resources have in common: plain ones, fields that change, lists within an object."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from stripe_sandbox.contract.responses import Body, event_types
from stripe_sandbox.contract.routes import PLACEHOLDER, routes
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.listing import page
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work


def plain(object: str, path: str, *, id_prefix: str, takes: str, **defaults: Any) -> Resource:
    """A resource at this path, with the routes that Stripe has for it and the events they cause.

    `takes` names the parameters that become the fields of the same name; `defaults` are the other
    fields of a new object.
    """
    resource = Resource(object, id_prefix=id_prefix)

    def create(work: Work, params: Body) -> Body:
        body = work.create(object, id=params.get("id"), **{**defaults, **given(params, takes)})
        _tell(work, f"{object}.created", body)
        return body

    def delete(work: Work, **ids: str) -> Body:
        body = work.find(object, *ids.values())
        _tell(work, f"{object}.deleted", body)
        return work.delete(body, leave_trace=False)

    resource.on("post", path, takes=takes)(create)
    for verb, pattern in routes():
        if re.fullmatch(rf"{path}/{PLACEHOLDER.pattern}", pattern) and verb != "get":
            if verb == "post":
                updates(resource, pattern, takes)
            else:
                resource.on(verb, pattern)(delete)
    return resource


def updates(resource: Resource, path: str, takes: str) -> None:
    """A route that changes fields, and announces it where Stripe has an event for that."""

    def update(work: Work, params: Body, **ids: str) -> Body:
        body = work.find(resource.object, *ids.values())
        previous = work.change(body, **changes(body, params, takes))
        if previous:
            _tell(work, f"{resource.object}.updated", body, previous=previous)
        return body

    resource.on("post", path, takes=takes)(update)


def lists(
    resource: Resource, path: str, label: str, rows: Callable[[Work, Body], Iterable[Body]]
) -> None:
    """A route that lists what belongs to an object, and shows it there when it is expanded."""

    def first_page(work: Work, body: Body) -> Body:
        return some(work, {}, **{PLACEHOLDER.findall(path)[0]: body["id"]})

    def some(work: Work, params: Body, **ids: str) -> Body:
        found = rows(work, work.find(resource.object, *ids.values()))
        return page(found, label, params, url=path.format(**ids))

    resource.on("get", path, takes=None)(some)
    resource.includes(path.rsplit("/", 1)[1])(first_page)


def _tell(work: Work, type: str, body: Body, *, previous: Body | None = None) -> None:
    """Stripe announces most of them; it has no word for the others."""
    if type in event_types():
        work.emit(type, body, previous=previous)
