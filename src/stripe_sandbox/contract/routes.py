"""The routes of Stripe's v1 API, read from the service modules of the installed SDK."""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import stripe

from stripe_sandbox.contract.sources import parsed

PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ANSWER = re.compile(r"(?:(ListObject|SearchResultObject)\[)?([\w, \[\]]+?)\]?$")


@dataclass(frozen=True, slots=True)
class Route:
    """One verb on one path: where its parameters are declared and what it answers with.

    `answers` is the name of the SDK's class; `shape` says whether one of them comes back, a list
    or a search result. `service` and `method` are where the SDK has it.
    """

    verb: str
    path: str
    params_module: str
    params_name: str
    answers_module: str
    answers: str
    shape: str
    service: str = ""
    method: str = ""

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(PLACEHOLDER.findall(self.path))

    def __str__(self) -> str:
        return f"{self.verb.upper()} {self.path}"


@functools.cache
def routes() -> Mapping[tuple[str, str], Route]:
    package = Path(stripe.__file__).parent
    modules = package.rglob("_*_service.py")
    found = (route for module in modules for route in _read(module, package.parent))
    return {(route.verb, route.path): route for route in found}


def match(verb: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route a URL stands for and the ids in it; a literal segment wins over a placeholder."""
    segments = path.strip("/").split("/")
    for route, pattern in _by_length().get((verb, len(segments)), ()):
        ids = _fit(pattern, segments)
        if ids is not None:
            return route, ids
    return None


@functools.cache
def _by_length() -> Mapping[tuple[str, int], list[tuple[Route, list[str]]]]:
    grouped: dict[tuple[str, int], list[tuple[Route, list[str]]]] = defaultdict(list)
    for route in sorted(routes().values(), key=lambda route: route.path.count("{")):
        pattern = route.path.strip("/").split("/")
        grouped[route.verb, len(pattern)].append((route, pattern))
    return grouped


def _fit(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    ids: dict[str, str] = {}
    for expected, given in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            ids[expected[1:-1]] = given
        elif expected != given:
            return None
    return ids


def _read(module: Path, root: Path) -> Iterator[Route]:
    name = ".".join(module.relative_to(root).with_suffix("").parts)
    tree = parsed(module.read_text(encoding="utf-8"))
    imports = {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for service in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (node for node in service.body if isinstance(node, ast.FunctionDef)):
            route = _route(method, imports, name)
            if route and route.path.startswith("/v1/"):
                yield route


def _route(method: ast.FunctionDef, imports: Mapping[str, str], service: str) -> Route | None:
    call = next((node for node in ast.walk(method) if _is_request(node)), None)
    if not isinstance(call, ast.Call):
        return None
    params = _params_name(method)
    wrapper, answers = _answer(method)
    return Route(
        verb=_literal(call.args[0]),
        path=_literal(call.args[1]),
        params_module=imports.get(params, ""),
        params_name=params,
        answers_module=imports.get(answers, ""),
        answers=answers,
        shape={"ListObject": "list", "SearchResultObject": "search"}.get(wrapper, "one"),
        service=service,
        method=method.name,
    )


def _is_request(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_request"
    )


def _literal(node: ast.expr) -> str:
    """The text of `"/v1/refunds"` or of the template in `"/v1/refunds/{refund}".format(…)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _params_name(method: ast.FunctionDef) -> str:
    annotations = (ast.unparse(a.annotation) for a in method.args.args if a.annotation)
    found = (re.search(r"[A-Z]\w+Params", annotation) for annotation in annotations)
    return next((name.group() for name in found if name), "")


def _answer(method: ast.FunctionDef) -> tuple[str, str]:
    text = ast.unparse(method.returns).strip("'\"") if method.returns else ""
    found = _ANSWER.match(text)
    return (found.group(1) or "", found.group(2)) if found else ("", text)
