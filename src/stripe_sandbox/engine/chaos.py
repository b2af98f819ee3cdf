"""Chaos: what goes wrong by itself, at given rates; the same seed tells the same story."""

import hashlib
import secrets
import time
from collections import Counter
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from stripe_sandbox.engine.faults import Fault

_Rate = Annotated[float, Field(ge=0, le=1, description="how often, from 0 to 1")]

# The first that happens to a call is the one that happens to it.
_STRIKES = {
    "429": Fault(status=429),
    "500_before": Fault(status=500),
    "500_after": Fault(status=500, when="after"),
    "cut": Fault(cut=True),
    "slow": Fault(),
}


class Chaos(BaseModel):
    """How often which thing goes wrong.

    Of deliveries: `duplicate` (posted again, at once or later), `reorder` (the next event of the
    endpoint overtakes), `delay`, `drop` (never posted; `GET /v1/events` has it). Of calls: `429`,
    `500_before` and `500_after` the work, `slow`, `cut` (the connection, before or after the work).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    seed: int = Field(default_factory=lambda: secrets.randbelow(2**31))
    seconds: float = Field(default=2, ge=0, description="the longest that anything is late")
    duplicate: _Rate = 0
    reorder: _Rate = 0
    delay: _Rate = 0
    drop: _Rate = 0
    rate_limit: _Rate = Field(default=0, alias="429")
    error_before: _Rate = Field(default=0, alias="500_before")
    error_after: _Rate = Field(default=0, alias="500_after")
    slow: _Rate = 0
    cut: _Rate = 0

    @property
    def rates(self) -> dict[str, float]:
        return self.model_dump(exclude={"seed", "seconds"})

    @classmethod
    def read(cls, text: str, *, seed: int | None) -> Self:
        """From `0.1`, a rate for everything, or from rates by name: `drop=0.2,cut=0.05`.

        Raises:
            ValueError: it is neither.
        """
        named: dict[str, Any] = dict.fromkeys(cls().rates, text)
        if "=" in text:
            named = dict(pair.strip().split("=", 1) for pair in text.split(","))
        return cls.model_validate(named if seed is None else {**named, "seed": seed})


class Story:
    """What befalls each call and each delivery under one chaos.

    Every decision is drawn from the seed, from what is decided and from how often such a thing
    came before, never from ids or from the time, so it is the same however tasks interleave. Only
    which event overtakes is settled by the order of the events.
    """

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self._rates = chaos.rates
        self._told: Counter[str] = Counter()
        self._held: dict[str, str] = {}

    def strike(self, route: str) -> Fault | None:
        """What befalls the next call of this route."""
        occasion = self._next(route)
        kind = next((kind for kind in _STRIKES if self._happens(kind, occasion)), None)
        if kind == "slow":
            return Fault(delay_seconds=self._draw("seconds", occasion) * self.chaos.seconds)
        if kind == "cut" and round(self._draw("after", occasion)):
            return Fault(cut=True, when="after")
        return _STRIKES[kind] if kind else None

    def deliveries(self, event: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, Any]:
        """The delivery rows by key: one, or none, or one and its copy."""
        occasion = self._next(f"{event['type']} to {endpoint['url']}")
        if self._happens("drop", occasion):
            return {}
        key = f"{event['id']} {endpoint['id']}"
        row = {"event": event["id"], "endpoint": endpoint["id"], "attempts": 0}
        now, late = time.time(), self._draw("seconds", occasion) * self.chaos.seconds
        # What is due at once is due in the distant past, in an order that is drawn too.
        rows = {key: {**row, "due": self._draw("order", occasion)}}
        if overtaken := self._held.pop(endpoint["id"], None):
            rows[key]["overtakes"] = overtaken
        elif self._happens("reorder", occasion):
            self._held[endpoint["id"]] = key
            rows[key]["due"] = now + self.chaos.seconds
        elif self._happens("delay", occasion):
            rows[key]["due"] = now + late
        if self._happens("duplicate", occasion):
            # One half of the copies races the first post, the other comes later.
            due = now + late * round(self._draw("later", occasion))
            rows[f"{key} again"] = {**row, "copy": True, "due": due}
        return rows

    def _next(self, thing: str) -> str:
        self._told[thing] += 1
        return f"{thing} {self._told[thing]}"

    def _happens(self, kind: str, occasion: str) -> bool:
        rate = self._rates[kind]
        return rate > 0 and self._draw(kind, occasion) < rate

    def _draw(self, what: str, occasion: str) -> float:
        """Evenly from [0, 1)."""
        text = f"{self.chaos.seed} {what} {occasion}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48
