"""What went over the wire: one try of one request to Stripe, and what it was about."""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx2
import orjson

_ID: Final = re.compile(r"[a-z]+_(?=\w*[A-Z0-9])\w+")
"""Stripe's ids, as they stand in a path; `payment_intents` is none."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One try, as it ended.

    Attributes:
        form: the body that was sent, as a form.
        key: the idempotency key.
        response: None when there was no answer; `failure` says why.
        began: by the monotonic clock.
        seconds: how long it took.
    """

    method: str
    url: str
    form: str
    key: str | None
    response: httpx2.Response | None
    failure: str | None
    began: float
    seconds: float

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def status(self) -> int | None:
        return self.response.status_code if self.response is not None else None

    @property
    def error_code(self) -> str | None:
        """Stripe's word for what is wrong, or the network's."""
        if self.response is None or self.response.is_success:
            return self.failure
        error = _mapping(_answer(self.response).get("error"))
        found = error.get("decline_code") or error.get("code") or error.get("type")
        return found if isinstance(found, str) else None

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name) if self.response is not None else None

    @property
    def subjects(self) -> list[str]:
        """What it is about: the ids in its path, the payment that it names, what a write has made,
        and the row of ours that its key derives from.
        """
        address = urlsplit(self.url)
        found: list[Any] = [part for part in address.path.split("/") if _ID.fullmatch(part)]
        for sent in (address.query, self.form):
            found += [value for name, value in parse_qsl(sent) if name == "payment_intent"]
        if self.writes and self.response is not None:
            answer = _answer(self.response)
            refused = _mapping(_mapping(answer.get("error")).get("payment_intent"))
            found += [answer.get("id"), answer.get("payment_intent"), refused.get("id")]
        if self.key is not None and ":" in self.key:
            found.append(self.key.split(":")[1])
        return sorted({one for one in found if isinstance(one, str) and one})


def _answer(response: httpx2.Response) -> dict[str, Any]:
    try:
        return _mapping(orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
