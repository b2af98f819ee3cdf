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
        error = _mapping(self._answered.get("error"))
        return _text(error.get("decline_code") or error.get("code") or error.get("type"))

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name) if self.response is not None else None

    @property
    def object_id(self) -> str | None:
        """What a write has made, or else what the path names last."""
        made = _text(self._answered.get("id")) if self.writes else None
        named = [part for part in self.path.split("/") if _ID.fullmatch(part)]
        return made or (named[-1] if named else None)

    @property
    def payment_intent(self) -> str | None:
        """The payment that was named, or that the answer to a write names."""
        sent = parse_qsl(f"{urlsplit(self.url).query}&{self.form}")
        named = [value for name, value in sent if name == "payment_intent"]
        if named or not self.writes:
            return named[0] if named else None
        refused = _mapping(_mapping(self._answered.get("error")).get("payment_intent"))
        return _text(self._answered.get("payment_intent")) or _text(refused.get("id"))

    @property
    def reservation(self) -> str | None:
        """The row of ours that the idempotency key derives from."""
        parts = (self.key or "").split(":")
        return parts[1] if len(parts) > 1 else None

    @property
    def _answered(self) -> dict[str, Any]:
        return _answer(self.response) if self.response is not None else {}


def _answer(response: httpx2.Response) -> dict[str, Any]:
    try:
        return _mapping(orjson.loads(response.content))
    except orjson.JSONDecodeError:
        return {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
