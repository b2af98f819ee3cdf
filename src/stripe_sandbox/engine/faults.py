"""Faults on demand: errors, delays and cut connections for the calls a test names."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """What goes wrong, for which calls and how often.

    `before`: nothing was done and nothing is kept. `after`: the work is committed; a status
    replaces the answer and is kept under the idempotency key, as Stripe keeps its own 500s, while
    a cut connection loses an answer that a retry with the same key gets.
    """

    model_config = ConfigDict(extra="forbid")

    method: Literal["GET", "POST", "DELETE"] | None = None
    path: str | None = Field(default=None, description="how the paths begin")
    times: int = Field(default=1, ge=1)
    when: Literal["before", "after"] = "before"
    status: int | None = Field(default=None, ge=400, le=599)
    delay_seconds: float = Field(default=0, ge=0, le=3600)
    cut: bool = False
    clock_skew: int = Field(default=0, description="seconds by which the Date header is wrong")

    def concerns(self, method: str, path: str) -> bool:
        return self.method in (None, method) and path.startswith(self.path or "/")


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of one call."""

    before: Fault | None = None
    after: Fault | None = None

    @property
    def clock_skew(self) -> int:
        fault = self.before or self.after
        return fault.clock_skew if fault else 0

    @classmethod
    def of(cls, fault: Fault | None) -> Self:
        if fault is None:
            return cls()
        return cls(before=fault) if fault.when == "before" else cls(after=fault)


class Faults:
    """The faults still to come, oldest first; the first that concerns a call is spent on it."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def spend(self, method: str, path: str) -> Fault | None:
        fault = next((f for f in self._waiting if f.concerns(method, path)), None)
        if fault is not None:
            self._waiting.remove(fault)
            if fault.times > 1:
                rest = fault.model_copy(update={"times": fault.times - 1})
                self._waiting.insert(0, rest)
        return fault
