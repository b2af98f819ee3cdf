"""The last calls of the API, for whoever wants to see what a client really sent."""

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

_REMEMBERED = 500
KEPT = 16_000  # bytes of an answer
_SECRET = re.compile(
    r'"(number|cvc|account_number|iban|client_secret|secret)":\s*"(\\.|[^"\\])*("|$)'
)
_CLIENT_SECRET = re.compile(r"(_secret_)\w+")


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call and the beginning of its answer; the status is 0 when the connection was cut."""

    id: str
    method: str
    path: str
    idempotency_key: str | None
    params: dict[str, Any]
    status: int
    content: bytes
    seconds: float
    at: float = field(default_factory=time.time)

    @property
    def shown_params(self) -> str:
        return _without_secrets(orjson.dumps(self.params, option=orjson.OPT_INDENT_2))

    @property
    def shown_answer(self) -> str:
        try:
            content = orjson.dumps(orjson.loads(self.content), option=orjson.OPT_INDENT_2)
        except orjson.JSONDecodeError:
            content = self.content + " …".encode()
        return _without_secrets(content)


def request_log() -> deque[LoggedCall]:
    """Bounded; oldest first."""
    return deque(maxlen=_REMEMBERED)


def _without_secrets(json: bytes) -> str:
    """Also of JSON that was cut off: a card number or a secret is a string beside its name."""
    text = _SECRET.sub(r'"\1": "•••"', json.decode(errors="ignore"))
    return _CLIENT_SECRET.sub(r"\1•••", text)
