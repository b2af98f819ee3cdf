"""A check: what a slice compares with Stripe in every reconciliation, beside the mirrors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that must agree with Stripe and is no single object of it.

    Attributes:
        name: stands beside the resources' names in a run and in its report.
        run: compares, given the `Round`, and notes what differs.
    """

    name: str
    run: Callable[[Any], Awaitable[None]]
