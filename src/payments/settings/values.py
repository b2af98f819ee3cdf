"""What a value of a setting may look like; the message says what to write instead."""

import re
from ipaddress import ip_network
from typing import Annotated, Final, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, SecretStr

Environment = Literal["development", "staging", "production"]
Template = Literal[
    "payment_failed", "trial_ending", "renewal_failed", "subscription_ended",
    "dispute", "refund_failed", "subscription_conflict", "dead_event", "drift",
]  # fmt: skip
"""What this service tells people: the first line the customer, the second the admins."""

ASYMMETRIC: Final = frozenset(
    f"{family}{bits}" for family in ("RS", "ES", "PS") for bits in (256, 384, 512)
) | {"EdDSA"}


def listed(value: str) -> tuple[str, ...]:
    """A comma list, without its blanks."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise ValueError("is no IANA time zone; try Europe/Berlin") from exc
    return value


def origins(value: str) -> str:
    urls = [url.rstrip("/") for url in listed(value)]
    wrong = [url for url in urls if not re.fullmatch(r"https?://[^/?#@\\\s]+", url)]
    if not urls or wrong:
        raise ValueError("list origins, without a path: https://shop.example,https://…")
    return ",".join(urls)


def networks(value: str) -> str:
    try:
        [ip_network(one) for one in listed(value)]
    except ValueError as exc:
        raise ValueError("list addresses or networks: 10.0.0.7,172.16.0.0/12") from exc
    return value


def postgresql(value: SecretStr) -> SecretStr:
    scheme = value.get_secret_value().partition("://")[0]
    if scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError("must start with postgresql://")
    return value


def mail_server(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must look like smtp://user:password@host:587 or smtps://…")
    return value


def templates(value: str) -> str:
    if unknown := set(listed(value)) - set(get_args(Template)):
        known = ", ".join(get_args(Template))
        raise ValueError(f"no such message: {', '.join(sorted(unknown))}; there are {known}")
    return value


def asymmetric(value: str) -> str:
    if not set(listed(value)) <= ASYMMETRIC:
        raise ValueError(f"only algorithms with a public key: {', '.join(sorted(ASYMMETRIC))}")
    return value


def prices(named: dict[str, str]) -> dict[str, str]:
    for key, id in named.items():
        if not id.startswith("price_"):
            raise ValueError(f"STRIPE_PRICE_{key.upper()} is no price's id: price_…")
    return named


TimeZone = Annotated[str, AfterValidator(known_zone)]
Origins = Annotated[str, AfterValidator(origins)]
Networks = Annotated[str, AfterValidator(networks)]
PostgresUrl = Annotated[SecretStr, AfterValidator(postgresql)]
MailUrl = Annotated[SecretStr, AfterValidator(mail_server)]
Messages = Annotated[str, AfterValidator(templates)]
Algorithms = Annotated[str, AfterValidator(asymmetric)]
Prices = Annotated[dict[str, str], AfterValidator(prices)]
