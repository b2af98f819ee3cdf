"""One call of the API, without HTTP: its behaviour, its parameters, its transaction, its key."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from stripe_sandbox.contract.errors import StripeError, not_simulated, unrecognized_url
from stripe_sandbox.contract.requests import validate
from stripe_sandbox.contract.responses import Body, resource_class
from stripe_sandbox.contract.routes import Route, match
from stripe_sandbox.engine.expansion import expand
from stripe_sandbox.engine.idempotency import fingerprint
from stripe_sandbox.engine.listing import list_all
from stripe_sandbox.engine.registry import Catalogue, Download, Resource
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.search import search
from stripe_sandbox.engine.work import Origin, Work

# The parameters that say whose clock counts.
_WHOSE = ("customer", "test_clock", "subscription", "invoice", "payment_intent", "charge")


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks for; `params` are text, as the form had them.

    With `older`, in a version that still had what today's has not.
    """

    verb: str
    path: str
    params: dict[str, Any]
    origin: Origin
    older: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes
    first_request: str | None = None
    replayed: bool = False
    media_type: str = "application/json"

    @classmethod
    def of(cls, status: int, body: Body) -> "Answer":
        return cls(status, orjson.dumps(body))

    @classmethod
    def of_error(cls, error: StripeError) -> "Answer":
        return cls.of(error.status, {"error": error.error})


def perform(sandbox: Sandbox, call: Call, *, instead: StripeError | None = None) -> Answer:
    """Do what the call asks for, once for each idempotency key, in one transaction.

    With `instead`, the work is done but this error is the answer.

    Raises:
        StripeError: nothing was begun, and nothing is kept under the key.
    """
    key = call.origin.idempotency_key
    print_ = fingerprint(call.verb, call.path, call.params) if key else ""
    with sandbox.work(call.origin) as work:
        kept = sandbox.keys.kept(work.state, key, print_) if key else None
        if kept:
            return Answer(kept["status"], kept["body"].encode(), kept["request"], replayed=True)
        answer = _attempt(work, call)
        if instead:
            answer = Answer.of_error(instead)
        if key:
            sandbox.keys.keep(
                work.state,
                key,
                fingerprint=print_,
                status=answer.status,
                body=answer.content.decode(),
                request=call.origin.request_id,
            )
    return answer


def _attempt(work: Work, call: Call) -> Answer:
    try:
        with work.state.savepoint():
            return _run(work, call)
    except StripeError as error:
        if not error.executed:
            raise
        return Answer.of_error(error)


def _run(work: Work, call: Call) -> Answer:
    route, ids = find_route(work.catalogue, call.verb, call.path)
    behaviour = work.catalogue.behaviours.get((route.verb, route.path))
    gone = behaviour.older if behaviour and call.older else frozenset()
    params = validate(route, {k: v for k, v in call.params.items() if k not in gone})
    paths = params.pop("expand", [])
    work.keep_time_of((*ids.values(), *(params.get(name) for name in _WHOSE)))
    answer: Body | Download
    if behaviour is None:
        answer = _generic(work, route, params, ids, call.path)
    else:
        if behaviour.takes is not None:
            require_simulated(params, behaviour.takes, where=str(route))
        params |= {k: v for k, v in call.params.items() if k in gone}
        answer = behaviour(work, params, ids)
    if isinstance(answer, Download):
        return Answer(200, answer.content, media_type=answer.media_type)
    return Answer.of(200, expand(work, answer, paths))


def require_simulated(params: Body, takes: str | Collection[str], *, where: str) -> None:
    """Refuse a parameter of the contract that would be passed over in silence."""
    names = takes.split() if isinstance(takes, str) else takes
    for name in params:
        if name not in names:
            raise not_simulated(f"the parameter {name} of {where}")


def find_route(catalogue: Catalogue, verb: str, path: str) -> tuple[Route, dict[str, str]]:
    found = match(verb, path) or catalogue.match_beside_contract(verb, path)
    if found is None:
        raise unrecognized_url(verb, path)
    return found


def _generic(work: Work, route: Route, params: Body, ids: dict[str, str], url: str) -> Body:
    resource = comes_by_itself(work.catalogue, route)
    if resource is None:
        raise not_simulated(str(route))
    if route.shape == "list":
        return list_all(work, resource, params, url=url)
    if route.shape == "search":
        return search(work, resource, params, url=url)
    return _retrieve(work, resource, *ids.values())


def comes_by_itself(catalogue: Catalogue, route: Route) -> Resource | None:
    """The resource whose list, search or retrieve this is."""
    if route.shape == "one":
        general = len(route.placeholders) == 1 and route.path.endswith("}")
    else:
        general = not route.placeholders
    return _resource(catalogue, route) if general and route.verb == "get" else None


def _retrieve(work: Work, resource: Resource, id: str) -> Body:
    if resource.refresh:
        resource.refresh(work)
    found = work.get(resource.object, id)
    return found if found is not None else work.find(resource.object, id)


def _resource(catalogue: Catalogue, route: Route) -> Resource | None:
    found = (
        resource
        for resource in catalogue.resources.values()
        if resource_class(resource.object).__name__ == route.answers
        and resource_class(resource.object).__module__ == route.answers_module
    )
    return next(found, None)
