"""Idempotency keys: the first answer to a POST is kept and replayed."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from stripe_sandbox.contract.errors import StripeError, invalid
from stripe_sandbox.engine.state import State
from stripe_sandbox.engine.table import Row

KEY = "~key"
_LONGEST = 255
_KEPT = 24 * 3600


def fingerprint(verb: str, path: str, params: dict[str, Any]) -> str:
    """The same for two requests that mean the same."""
    text = orjson.dumps([verb, path, params], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


class Keys:
    """The keys in use and the answers kept under them."""

    def __init__(self) -> None:
        self._in_flight: set[str] = set()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Keep a second request with this key away until the first is answered."""
        if len(key) > _LONGEST:
            text = f"Idempotency keys can have up to {_LONGEST} characters."
            raise invalid(text)
        if key in self._in_flight:
            raise StripeError(
                409,
                "idempotency_error",
                "There is currently another in-progress request using this Idempotent Key (that"
                " probably means you submitted twice, and the other request is still going"
                f" through): {key}. Please try again later.",
                code="idempotency_key_in_use",
                executed=False,
            )
        self._in_flight.add(key)
        try:
            yield
        finally:
            self._in_flight.discard(key)

    def kept(self, state: State, key: str, print_: str) -> Row | None:
        """The kept answer, if there is one.

        Raises:
            StripeError: the key was used with other parameters.
        """
        row = state.get(KEY, key)
        if row is None or _is_old(row):
            return None
        if row["fingerprint"] != print_:
            raise StripeError(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were"
                f" first used with. Try using a key other than '{key}' if you meant to execute a"
                " different request.",
                executed=False,
            )
        return row

    def forget_old(self, state: State) -> None:
        old = [key for key, row in state.rows(KEY).items() if _is_old(row)]
        for key in old:
            state.drop(KEY, key)

    def keep(self, state: State, key: str, **answer: Any) -> None:
        state.put(KEY, key, {"at": time.time(), **answer})


def _is_old(row: Row) -> bool:
    return bool(row["at"] < time.time() - _KEPT)
