"""One slice a capability. A slice may define `router`, `RESOURCES`, `roots`, `settle` (or
`settles(payables)`), `TASKS`, `CHORES`, `CHECKS` and `PAYABLES`; it is found here, so adding one
touches no list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from fastapi import APIRouter

from payments.domains.payables import Payable
from payments.settings import UnsafeSettings
from payments.sync.resources import Registry


@dataclass(frozen=True)
class Slices:
    """What the slices bring: routes, what follows Stripe, and what can be paid for."""

    routers: Sequence[APIRouter]
    registry: Registry
    payables: Mapping[str, Any]


def modules() -> list[ModuleType]:
    return [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]


def assemble(payables: Sequence[Any] = ()) -> Slices:
    """Join the slices with the adopter's own payables.

    Raises:
        UnsafeSettings: two payables claim the same kind, or what was named is none.
        ValueError: two slices claim the same object or event.
    """
    found = modules()
    offered = _by_kind([*(p for m in found for p in getattr(m, "PAYABLES", ())), *payables])
    settles = [m.settle for m in found if hasattr(m, "settle")]
    settles += [m.settles(offered) for m in found if hasattr(m, "settles")]
    return Slices(
        routers=[m.router for m in found if hasattr(m, "router")],
        registry=Registry(
            resources=[r for m in found for r in getattr(m, "RESOURCES", ())],
            roots=[m.roots for m in found if hasattr(m, "roots")],
            settles=settles,
            chores=[chore for m in found for chore in getattr(m, "CHORES", ())],
            checks=[check for m in found for check in getattr(m, "CHECKS", ())],
            tasks={name: task for m in found for name, task in getattr(m, "TASKS", {}).items()},
        ),
        payables=offered,
    )


def _by_kind(payables: Sequence[Any]) -> dict[str, Any]:
    offered: dict[str, Any] = {}
    for payable in payables:
        if isinstance(payable, type) or not isinstance(payable, Payable):
            raise UnsafeSettings(
                f"PAYABLES: {payable!r} is no payable; name an object with kind, locate, offer "
                "and paid, as examples/yoga_class.py has one"
            )
        if payable.kind in offered:
            raise UnsafeSettings(f"PAYABLES: two payables call themselves {payable.kind!r}")
        offered[payable.kind] = payable
    return offered
