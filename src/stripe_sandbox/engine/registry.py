"""How a resource declares itself: behaviours by verb and path, jobs, properties on request."""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.contract.routes import PLACEHOLDER, Route, routes

Run = TypeVar("Run", bound=Callable[..., Any])  # it answers with a Body or a Download
Show = Callable[..., Body | None]
Job = Callable[..., None]
Follow = Callable[..., None]
Filter = Callable[[Body, object], bool]
Having = tuple[str, Collection[object]]


class Misdeclared(Exception):
    """Two behaviours claim one route, or one claims a route that Stripe does not have."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a behaviour answers with when it is no object but a file."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one route does.

    Attributes:
        run: called with the unit of work, the parameters (unless it takes none) and the ids of
            the path by name.
        takes: the parameters it honours; the others of the contract answer 501. None: all.
        older: those that only older versions of the API have; they arrive as the form had them.
    """

    route: Route
    run: Callable[..., Any]
    takes: frozenset[str] | None
    older: frozenset[str] = frozenset()

    def __call__(self, work: Any, params: Body, ids: Mapping[str, str]) -> Body | Download:
        answer: Body | Download = (
            self.run(work, **ids) if self.takes == frozenset() else self.run(work, params, **ids)
        )
        return answer


@dataclass(eq=False)
class Resource:
    """One kind of object.

    Retrieve, list and search come by themselves where Stripe has them.

    Attributes:
        label: how Stripe names it in "No such …".
        param: the parameter it blames when the id in a URL is unknown.
        filters: list parameters that are no plain comparison with the field of the same name.
        narrow: for such parameters the field and the values that an index can find first.
        search: the fields its search knows.
        search_paths: where those stand that have another name on the object.
        refresh: called before objects of this kind are read.
    """

    object: str
    id_prefix: str
    label: str = ""
    param: str = "id"
    filters: Mapping[str, Filter] = field(default_factory=dict)
    narrow: Mapping[str, Callable[[Any], Having | None]] = field(default_factory=dict)
    search: str = ""
    search_paths: Mapping[str, str] = field(default_factory=dict)
    refresh: Job | None = None
    behaviours: dict[tuple[str, str], Behaviour] = field(default_factory=dict, init=False)
    jobs: dict[str, Job] = field(default_factory=dict, init=False)
    inclusions: dict[str, Show] = field(default_factory=dict, init=False)
    followers: list[tuple[str, Follow]] = field(default_factory=list, init=False)
    openings: list[Follow] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.label = self.label or self.object

    def on(
        self, verb: str, path: str, *, takes: str | None = "", older: str = ""
    ) -> Callable[[Run], Run]:
        """Declare a route of the contract; `takes` lists the parameters it honours, None all, and
        `older` those that older versions had.
        """
        route = routes().get((verb, path))
        if route is None:
            raise Misdeclared(f"Stripe has no {verb.upper()} {path}")
        return self._register(route, takes, frozenset(older.split()))

    def beside_contract(self, verb: str, path: str, *, takes: str = "") -> Callable[[Run], Run]:
        """Declare a route that Stripe answers but does not document."""
        return self._register(Route(verb, path, "", "", "", "", "one"), takes)

    def acts(self, path: str, *, verb: str = "post", takes: str = "") -> Callable[[Run], Run]:
        """Declare what a route does with one object, which is also the answer.

        It is called with the unit of work, the object and, if it takes any, the parameters.
        """

        def register(run: Run) -> Run:
            def act(work: Any, *params: Body, **ids: str) -> Body:
                body: Body = work.find(self.object, *ids.values())
                run(work, body, *params)
                return body

            self.on(verb, path, takes=takes)(act)
            return run

        return register

    def job(self, name: str) -> Callable[[Job], Job]:
        """Declare what happens to an object when a scheduled time has come."""

        def register(run: Job) -> Job:
            self.jobs[name] = lambda work, subject: run(work, work.find(self.object, subject))
            return run

        return register

    def follows(self, *events: str) -> Callable[[Follow], Follow]:
        """Declare what an event about another object means here; called with that object.

        It happens at once, so what it announces comes right after that event.
        """

        def register(run: Follow) -> Follow:
            self.followers.extend((event, run) for event in events)
            return run

        return register

    def at_start(self, run: Follow) -> Follow:
        """Declare what is set up whenever a sandbox opens."""
        self.openings.append(run)
        return run

    def includes(self, name: str) -> Callable[[Show], Show]:
        """Declare a property that is shown only when it is expanded."""

        def register(run: Show) -> Show:
            self.inclusions[name] = run
            return run

        return register

    def _register(
        self, route: Route, takes: str | None, older: frozenset[str] = frozenset()
    ) -> Callable[[Run], Run]:
        def register(run: Run) -> Run:
            key = (route.verb, route.path)
            if key in self.behaviours:
                raise Misdeclared(f"{route} is declared twice")
            honoured = None if takes is None else frozenset(takes.split())
            self.behaviours[key] = Behaviour(route, run, honoured, older)
            return run

        return register


class Catalogue:
    """All resources together."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources: dict[str, Resource] = {}
        self.behaviours: dict[tuple[str, str], Behaviour] = {}
        self.jobs: dict[str, Job] = {}
        self.followers: dict[str, list[Follow]] = {}
        self.openings: list[Follow] = []
        for resource in resources:
            _merge(self.resources, {resource.object: resource})
            _merge(self.behaviours, resource.behaviours)
            _merge(self.jobs, resource.jobs)
            self.openings += resource.openings
            for event, follow in resource.followers:
                self.followers.setdefault(event, []).append(follow)
        self._beside_contract = [b for b in self.behaviours.values() if not b.route.answers]

    def match_beside_contract(self, verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
        segments = path.strip("/").split("/")
        for behaviour in self._beside_contract:
            pattern = behaviour.route.path.strip("/").split("/")
            if behaviour.route.verb != verb or len(pattern) != len(segments):
                continue
            pairs = list(zip(pattern, segments, strict=True))
            if all(PLACEHOLDER.fullmatch(p) or p == given for p, given in pairs):
                return behaviour.route, {p[1:-1]: g for p, g in pairs if p.startswith("{")}
        return None


def _merge(known: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    twice = known.keys() & more.keys()
    if twice:
        raise Misdeclared(f"declared twice: {', '.join(map(str, twice))}")
    known.update(more)


@functools.cache
def catalogue() -> Catalogue:
    """Every `Resource` that a module of the package `resources` holds."""
    package = importlib.import_module("stripe_sandbox.resources")
    modules = (
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    )
    found = (value for module in modules for value in vars(module).values())
    return Catalogue({id(v): v for v in found if isinstance(v, Resource)}.values())
