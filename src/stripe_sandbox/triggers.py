"""`stripe-sandbox trigger`: makes an event happen by doing, over the API, what leads to it."""

import functools
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2

_INTENTS = ("payment_intent", "setup_intent")
_REFERENCE = re.compile(r"\$([a-z_]+)(?:\.([a-z_]+))?")


class NotTriggered(Exception):
    """The event did not happen; the text says why."""


@functools.cache
def recipes() -> Mapping[str, str]:
    """The steps of each recipe and of each part of one, as `recipes.txt` explains them."""
    text = Path(__file__).with_name("recipes.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: steps for name, _, steps in (line.partition(": ") for line in lines)}


def events() -> list[str]:
    """What can be triggered."""
    return [name for name in recipes() if "." in name]


async def trigger(http: httpx2.AsyncClient, event: str) -> list[str]:
    """Make an event happen.

    Args:
        http: leads to a sandbox, with a key.
        event: one of `events()`.

    Returns:
        The ids of the event and of what was made for it.

    Raises:
        NotTriggered: a call was refused, or the event did not follow.
        httpx2.TransportError: nobody answers.
    """
    before = await _newest(http, event)
    made: dict[str, Any] = {}
    ids: dict[str, None] = {}
    for step in _steps(event):
        for body in await _take(http, step, made):
            made[body["object"].rpartition(".")[2]] = body
            ids[body["id"]] = None
        await http.post("/_sandbox/settle")
    after = await _newest(http, event)
    if after is None or after == before:
        raise NotTriggered(f"{event} did not follow from what was done")
    return [after, *ids]


def _steps(name: str) -> Iterator[list[str]]:
    """The words of each call."""
    for step in recipes()[name].split("; "):
        head, *more = step.split()
        if head not in recipes():
            yield [head, *more]
            continue
        *first, last = _steps(head)
        yield from first
        yield [*last, *more]


async def _take(
    http: httpx2.AsyncClient, step: list[str], made: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The objects that the answer shows; a declined card is what some recipes want."""
    verb, path, *pairs = (_REFERENCE.sub(lambda m: _meant(made, m), word) for word in step)
    params = dict(pair.split("=", 1) for pair in pairs)
    sent = {"data": params} if verb == "post" else {"params": params}
    answer = await http.request(verb.upper(), f"/v1/{path}", **sent)  # type: ignore[arg-type]  # one of two names
    body = answer.json()
    if answer.status_code == HTTPStatus.PAYMENT_REQUIRED:
        return [body["error"][name] for name in _INTENTS if name in body["error"]]
    if answer.is_error:
        raise NotTriggered(f"{verb.upper()} /v1/{path}: {body['error']['message']}")
    return list(body["data"]) if body["object"] == "list" else [body]


def _meant(made: Mapping[str, Any], reference: re.Match[str]) -> str:
    name, field = reference.groups()
    return str(made[name][field or "id"])


async def _newest(http: httpx2.AsyncClient, event: str) -> str | None:
    answer = await http.get("/v1/events", params={"type": event, "limit": 1})
    return next((found["id"] for found in answer.json()["data"]), None)
