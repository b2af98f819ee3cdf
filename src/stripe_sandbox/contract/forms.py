"""Stripe's bracket notation: `a[b][0]=c` becomes nested dictionaries."""

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

_DEEPEST, _SHOWN = 20, 80
_QUOTED = re.compile(r'\b(name|filename)="([^"]*)"')


class MalformedForm(ValueError):
    """A name is used both as a value and as a hash, goes too deep, or is no text."""


def parse_form(query: str, body: bytes = b"") -> dict[str, Any]:
    """Arrays stay dictionaries with numbers as keys: only the type of a parameter can tell them
    from a hash whose keys happen to be numbers (metadata).
    """
    return _nest(parse_qsl("&".join(filter(None, (query, _text(body)))), keep_blank_values=True))


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise MalformedForm("form: it is not UTF-8") from None


def parse_multipart(boundary: str, body: bytes) -> dict[str, Any]:
    """The same of a form with files; a file is a hash of its name and its content in base 64."""
    pairs: list[tuple[str, Any]] = []
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        given = dict(_QUOTED.findall(_text(head)))
        content = content.removesuffix(b"\r\n")
        if "filename" in given:
            text = b64encode(content).decode()
            pairs.append((given["name"], {"filename": given["filename"], "content": text}))
        elif "name" in given:
            pairs.append((given["name"], _text(content)))
    return _nest(pairs)


def _nest(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in pairs:
        *parents, last = _segments(name)
        if len(parents) > _DEEPEST:
            raise MalformedForm(name[:_SHOWN])
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
