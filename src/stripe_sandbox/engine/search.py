"""Stripe's query language: `email:'a@b' AND metadata['user']:'1'`, `-amount>100`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stripe_sandbox.contract.errors import StripeError, invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.listing import page_size
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<glue>AND|OR)\b
      | (?P<minus>-)?
        (?P<field>[a-z_]+(?:\.[a-z_0-9]+)*)
        (?:\[(?P<quote>['"])(?P<key>.+?)(?P=quote)\])?
        \s*(?P<operator>:|~|>=|<=|>|<)\s*
        (?:(?P<mark>['"])(?P<text>(?:\\.|(?!(?P=mark)).)*)(?P=mark)|(?P<bare>[\w.+-]+))
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_SHORTEST_SUBSTRING = 3
_NUMBER = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class _Clause:
    field: str
    key: str | None
    operator: str
    value: str | None
    negated: bool

    def holds(self, body: Body) -> bool:
        return _COMPARE[self.operator](self._of(body), self.value) is not self.negated

    def _of(self, body: Body) -> Any:
        value: Any = body
        for part in self.field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return (value or {}).get(self.key) if self.key is not None else value


def search(work: Work, resource: Resource, params: Body, *, url: str) -> Body:
    """The generic search; it sees every change at once, which Stripe's does not promise."""
    if resource.refresh:
        resource.refresh(work)
    holds = parse(params["query"], resource)
    found = [body for body in work.every(resource.object) if holds(body)]
    start, size = _start(params.get("page")), page_size(params)
    more = start + size < len(found)
    return {
        "object": "search_result",
        "data": found[start : start + size],
        "has_more": more,
        "next_page": f"page_{start + size}" if more else None,
        "url": url,
    }


def parse(query: str, resource: Resource) -> Callable[[Body], bool]:
    """The condition that a query states.

    Raises:
        StripeError: the query is not in the language, mixes AND with OR, or names a field that
            this resource is not searched by.
    """
    tokens = list(_tokens(query))
    clauses, joints = tokens[::2], tokens[1::2]
    glue = {(token["glue"] or "").upper() for token in joints}
    one_kind_of_glue = glue <= {"AND"} or glue <= {"OR"}
    if len(tokens) % 2 == 0 or any(t["glue"] for t in clauses) or not one_kind_of_glue:
        raise _unreadable(query)
    conditions = [_clause(token, resource) for token in clauses]
    every = any if "OR" in glue else all
    return lambda body: every(condition.holds(body) for condition in conditions)


def _tokens(query: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(query):
        token = _TOKEN.match(query, position)
        if token is None:
            raise _unreadable(query)
        yield token
        position = token.end()


def _clause(token: re.Match[str], resource: Resource) -> _Clause:
    field = token["field"]
    if field not in resource.search.split():
        raise invalid(
            f"Field `{field}` is an unsupported search field for resource `{resource.object}s`.",
            param="query",
        )
    text, bare = token["text"], token["bare"]
    value = text.replace("\\'", "'").replace('\\"', '"') if text is not None else bare
    if token["operator"] == "~" and len(value) < _SHORTEST_SUBSTRING:
        raise invalid("A substring search needs at least 3 characters.", param="query")
    missing = bare is not None and bare.lower() == "null"
    field = resource.search_paths.get(field, field)
    return _Clause(
        field, token["key"], token["operator"], None if missing else value, bool(token["minus"])
    )


def _equal(actual: Any, wanted: str | None) -> bool:
    if actual is None or wanted is None:
        return actual is wanted
    return _text(actual).casefold() == wanted.casefold()


def _contains(actual: Any, wanted: str | None) -> bool:
    return wanted is not None and wanted.casefold() in _text(actual or "").casefold()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _numeric(compare: Callable[[int, int], bool]) -> Callable[[Any, str | None], bool]:
    def test(actual: Any, wanted: str | None) -> bool:
        if wanted is None or not _NUMBER.fullmatch(wanted):
            raise invalid(f"`{wanted}` is no number to compare with.", param="query")
        return isinstance(actual, int) and compare(actual, int(wanted))

    return test


_COMPARE: dict[str, Callable[[Any, str | None], bool]] = {
    ":": _equal,
    "~": _contains,
    ">": _numeric(lambda actual, wanted: actual > wanted),
    "<": _numeric(lambda actual, wanted: actual < wanted),
    ">=": _numeric(lambda actual, wanted: actual >= wanted),
    "<=": _numeric(lambda actual, wanted: actual <= wanted),
}


def _start(page: str | None) -> int:
    number = (page or "page_0").removeprefix("page_")
    if not _NUMBER.fullmatch(number):
        raise invalid(f"Invalid page: {page}", param="page")
    return int(number)


def _unreadable(query: str) -> StripeError:
    return invalid(
        f"We were unable to parse your search query: {query}. Try using the format"
        " `metadata['key']:'value'` to query for metadata or key:'value' to query for other"
        " fields.",
        param="query",
    )
