"""What a product's metadata says to this service: credits, plan and features; read here alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

CreditType = Literal["payg", "subscription"]
TYPES: Final = get_args(CreditType)

WHOLE: Final = re.compile("[0-9]{1,9}")
FLAG: Final = re.compile(r"[\w.:-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """Whoever keeps the products in Stripe's dashboard may mistype; what cannot be read is left out
    and said in `problems`.

    Attributes:
        credits: how many one of it brings; None where that cannot be read.
        feature_flags: what its owner may use.
        plan_group: of these plans a customer has one at most.
        problems: what is malformed, and how it must be.
    """

    credits: int | None
    credit_type: CreditType
    feature_flags: tuple[str, ...]
    plan_tier: str | None
    plan_group: str | None
    problems: tuple[str, ...]


def read_facts(metadata: Mapping[str, Any] | None) -> Facts:
    said = {name: str(value).strip() for name, value in (metadata or {}).items()}
    amount, kind = said.get("credit_amount") or "0", said.get("credit_type") or "payg"
    flags = [flag for part in said.get("feature_flags", "").split(",") if (flag := part.strip())]
    odd = [flag for flag in flags if not FLAG.fullmatch(flag)]
    whole = WHOLE.fullmatch(amount) is not None
    problems = {
        f"credit_amount is {amount!r}, and must be a whole number": not whole,
        f"credit_type is {kind!r}, and must be payg or subscription": kind not in TYPES,
        f"feature_flags has {', '.join(map(repr, odd))}, and must be words between commas": odd,
    }
    return Facts(
        credits=int(amount) if whole else None,
        credit_type="subscription" if kind == "subscription" else "payg",
        feature_flags=tuple(dict.fromkeys(flag for flag in flags if flag not in odd)),
        plan_tier=said.get("plan_tier") or None,
        plan_group=said.get("plan_group") or None,
        problems=tuple(words for words, true in problems.items() if true),
    )
