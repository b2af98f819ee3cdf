"""Stripe's bracket notation: `a[b][0]=c` becomes nested dictionaries."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl


class MalformedForm(ValueError):
    """A name is used both as a value and as a hash."""


def parse_form(text: str) -> dict[str, Any]:
    """Arrays stay dictionaries with numbers as keys: only the type of a parameter can tell them
    from a hash whose keys happen to be numbers (metadata).
    """
    return _nest(parse_qsl(text, keep_blank_values=True))


def _nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in pairs:
        *parents, last = _segments(name)
        node = root
        for segment in parents:
            node = node.setdefault(_key(node, segment), {})
            if not isinstance(node, dict):
                raise MalformedForm(name)
        node[_key(node, last)] = value
    return root


def _segments(name: str) -> list[str]:
    head, *rest = name.split("[")
    return [head, *(segment.removesuffix("]") for segment in rest)]


def _key(node: dict[str, Any], segment: str) -> str:
    """`a[]` appends."""
    return segment or str(len(node))
