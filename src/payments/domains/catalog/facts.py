"""What a product's metadata says to this service: credits, plan and features; read here alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

CreditType = Literal["payg", "subscription"]
TYPES: Final = get_args(CreditType)

WHOLE: Final = re.compile("[0-9]{1,9}")
DAYS: Final = re.compile("[0-9]{1,3}")
DEFAULT_GROUP: Final = "default"
"""The group of plans that name none."""
FLAG: Final = re.compile(r"[\w.:-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """Whoever keeps the products in Stripe's dashboard may mistype; what cannot be read is left out
    and said in `problems`.

    Attributes:
        credits: how many one of it brings; None where that cannot be read.
        feature_flags: what its owner may use.
        plan_group: of these plans a customer has one at most.
        trial_days: given once to a user and plan group.
        problems: what is malformed, and how it must be.
    """

    credits: int | None
    credit_type: CreditType
    feature_flags: tuple[str, ...]
    plan_tier: str | None
    plan_group: str | None
    trial_days: int
    problems: tuple[str, ...]

    @property
    def group(self) -> str:
        return self.plan_group or DEFAULT_GROUP


def read_facts(metadata: Mapping[str, Any] | None) -> Facts:
    said = {name: str(value).strip() for name, value in (metadata or {}).items()}
    amount, kind = said.get("credit_amount") or "0", said.get("credit_type") or "payg"
    flags = [flag for part in said.get("feature_flags", "").split(",") if (flag := part.strip())]
    odd = [flag for flag in flags if not FLAG.fullmatch(flag)]
    days = said.get("trial_days") or "0"
    whole, dated = WHOLE.fullmatch(amount) is not None, DAYS.fullmatch(days) is not None
    problems = {
        f"credit_amount is {amount!r}, and must be a whole number": not whole,
        f"credit_type is {kind!r}, and must be payg or subscription": kind not in TYPES,
        f"feature_flags has {', '.join(map(repr, odd))}, and must be words between commas": odd,
        f"trial_days is {days!r}, and must be a whole number up to 999": not dated,
    }
    return Facts(
        credits=int(amount) if whole else None,
        credit_type="subscription" if kind == "subscription" else "payg",
        feature_flags=tuple(dict.fromkeys(flag for flag in flags if flag not in odd)),
        plan_tier=said.get("plan_tier") or None,
        plan_group=said.get("plan_group") or None,
        trial_days=int(days) if dated else 0,
        problems=tuple(words for words, true in problems.items() if true),
    )
